import { describe, expect, it } from "vitest";
import { endingWords, reason, target, warningText } from "./words";

describe("what the server says", () => {
  it("is shown without its slug", () => {
    expect(warningText('399 offhook.test "not-registered bob is not registered"')).toBe("bob is not registered");
    expect(warningText("nonsense")).toBeNull();
  });
  it("is read from Reason", () => {
    expect(reason('Q.850;cause=19;text="bob did not answer"')).toEqual({
      protocol: "Q.850",
      cause: 19,
      text: "bob did not answer",
    });
  });
});

describe("the end of a call", () => {
  it("says that another device answered", () => {
    const because = 'SIP;cause=200;text="Call completed elsewhere"';
    expect(endingWords({ cause: "Canceled", byUs: false, reason: because })).toBe("Answered elsewhere");
  });
  it("prefers the server's words to a status", () => {
    const warning = '399 h "callee-busy bob is busy"';
    expect(endingWords({ status: 486, cause: "Busy", byUs: false, warning })).toBe("bob is busy");
  });
  it("is silent about the ordinary end", () => {
    expect(endingWords({ cause: "Terminated", byUs: false, reason: 'Q.850;cause=16;text="Normal"' })).toBe("");
  });
  it("names a missing microphone", () => {
    expect(endingWords({ cause: "User Denied Media Access", byUs: true })).toContain("microphone");
  });
});

describe("what is dialled", () => {
  it("gets the domain when it is a short name", () => {
    expect(target(" bob ", "offhook.test")).toBe("sip:bob@offhook.test");
    expect(target("+15551234567", "offhook.test")).toBe("sip:+15551234567@offhook.test");
  });
  it("stays as it is when it is an address", () => {
    expect(target("sip:carol@example.com", "offhook.test")).toBe("sip:carol@example.com");
    expect(target("carol@example.com", "offhook.test")).toBe("sip:carol@example.com");
  });
});
