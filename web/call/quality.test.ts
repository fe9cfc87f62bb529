import { describe, expect, it } from "vitest";
import { judge, type Sample } from "./quality";

const start: Sample = {
  at: 0,
  received: 0,
  lost: 0,
  jitter: 0,
  sent: 0,
  roundTrip: 0.02,
  energyIn: 0,
  energyOut: 0,
};
const later = (part: Partial<Sample>): Sample => ({
  ...start,
  at: 2,
  received: 100,
  sent: 100,
  energyIn: 1,
  energyOut: 1,
  ...part,
});

describe("the line about quality", () => {
  it("is good while both directions flow", () => expect(judge(start, later({}), false).text).toBe("good"));
  it("names the silent direction", () => {
    expect(judge(start, later({ received: 0 }), false).text).toContain("You hear nothing");
    expect(judge(start, later({ sent: 0 }), false).text).toContain("You are not heard");
  });
  it("tells a dead microphone from the mute button", () => {
    expect(judge(start, later({ energyOut: 0 }), false).text).toContain("microphone");
    expect(judge(start, later({ energyOut: 0 }), true).level).toBe("good");
  });
  it("says how much is lost", () => expect(judge(start, later({ lost: 25 }), false).text).toContain("20 %"));
  it("says that sound comes unsteadily or late", () => {
    expect(judge(start, later({ jitter: 0.05 }), false).text).toContain("50 ms");
    expect(judge(start, later({ roundTrip: 0.6 }), false).text).toContain("600 ms");
  });
});
