// What the server says of a call, in the words it chose for people.

/** The sentence of a `Warning: 399 host "slug text"` field, without the slug. */
export function warningText(value: string | undefined): string | null {
  const found = /^\d{3}\s+\S+\s+"([^"\s]+)\s+([^"]*)"/.exec(value ?? "");
  return found ? found[2]! : null;
}

/** Protocol, cause and text of a Reason field (RFC 3326). */
export function reason(value: string | undefined): { protocol: string; cause: number; text: string } | null {
  const found = /^\s*([\w.]+)\s*;(.*)$/.exec(value ?? "");
  if (!found) return null;
  const cause = /cause=(\d+)/.exec(found[2]!);
  const text = /text="((?:[^"\\]|\\.)*)"/.exec(found[2]!);
  return {
    protocol: found[1]!,
    cause: cause ? Number(cause[1]) : 0,
    text: text ? text[1]!.replace(/\\(.)/g, "$1") : "",
  };
}

/** What JsSIP knows of the end of a call. */
export interface Ending {
  status?: number | undefined;
  cause: string;
  byUs: boolean;
  warning?: string | undefined;
  reason?: string | undefined;
}

/** One plain sentence about how a call ended; empty for the ordinary end. */
export function endingWords(ending: Ending): string {
  const because = reason(ending.reason);
  if (because?.protocol === "SIP" && because.cause === 200) return "Answered elsewhere";
  const said = warningText(ending.warning);
  if (said) return said;
  if (ending.cause === "Canceled") return ending.byUs ? "" : "The caller gave up";
  if (because && because.text && because.cause !== 16) return because.text;
  if (ending.cause === "User Denied Media Access") return "No microphone: allow it in the browser and call again";
  if (ending.cause === "WebRTC Error" || ending.cause === "Incompatible SDP")
    return "The browser could not set up the sound";
  if (ending.status === 486) return "Busy";
  if (ending.status === 603) return "Declined";
  if (ending.status === 480 || ending.cause === "No Answer") return "No answer";
  if (ending.status === 404) return "Nobody has this name";
  if (ending.cause === "Connection Error" || ending.cause === "RTP Timeout") return "The connection was lost";
  return ending.status && ending.status >= 300 ? `Refused (${ending.status})` : "";
}

/** A dialled text as JsSIP takes it: a short name gets the domain, a whole URI stays as it is. */
export function target(dialled: string, domain: string): string {
  const text = dialled.trim().replace(/^(tel:)/i, "");
  if (/^sips?:/i.test(text)) return text;
  if (text.includes("@")) return `sip:${text}`;
  return `sip:${encodeURIComponent(text).replace(/%2B/g, "+")}@${domain}`;
}
