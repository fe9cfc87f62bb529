// One plain line about the sound, from two looks at getStats some seconds apart.

/** Counters of one moment. Times in seconds, levels 0 to 1. */
export interface Sample {
  at: number;
  received: number;
  lost: number;
  jitter: number;
  sent: number;
  roundTrip: number;
  energyIn: number | null;
  energyOut: number | null;
}

export interface Verdict {
  level: "good" | "fair" | "bad";
  text: string;
}

const LOSS = 0.03;
const JITTER = 0.03;
const ROUND_TRIP = 0.4;
const SILENT = 1e-7;

const GOOD: Verdict = { level: "good", text: "good" };

/** What is wrong and in which direction, or "good". `muted` is our own mute button. */
export function judge(before: Sample, now: Sample, muted: boolean): Verdict {
  const received = now.received - before.received;
  const lost = Math.max(0, now.lost - before.lost);
  if (now.sent - before.sent === 0) return { level: "bad", text: "You are not heard: nothing is being sent" };
  if (received === 0) return { level: "bad", text: "You hear nothing: no sound arrives from the other side" };
  if (!muted && silent(before.energyOut, now.energyOut))
    return { level: "bad", text: "You may not be heard: the microphone gives no sound" };
  const share = lost / (received + lost);
  if (share > LOSS) return { level: "bad", text: `You hear gaps: ${Math.round(share * 100)} % of the sound is lost` };
  if (now.jitter > JITTER)
    return { level: "fair", text: `You hear it unsteadily: packets vary by ${Math.round(now.jitter * 1000)} ms` };
  if (now.roundTrip > ROUND_TRIP)
    return { level: "fair", text: `Both hear late: ${Math.round(now.roundTrip * 1000)} ms there and back` };
  return GOOD;
}

function silent(before: number | null, now: number | null): boolean {
  return before !== null && now !== null && now - before < SILENT;
}

/** Reads the audio counters of a connection. */
export async function sample(connection: RTCPeerConnection): Promise<Sample> {
  const out: Sample = {
    at: Date.now() / 1000,
    received: 0,
    lost: 0,
    jitter: 0,
    sent: 0,
    roundTrip: 0,
    energyIn: null,
    energyOut: null,
  };
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "audio") {
      out.received = report.packetsReceived ?? 0;
      out.lost = report.packetsLost ?? 0;
      out.jitter = report.jitter ?? 0;
      out.energyIn = report.totalAudioEnergy ?? null;
    } else if (report.type === "outbound-rtp" && report.kind === "audio") {
      out.sent = report.packetsSent ?? 0;
    } else if (report.type === "media-source" && report.kind === "audio") {
      out.energyOut = report.totalAudioEnergy ?? null;
    } else if (report.type === "candidate-pair" && report.nominated) {
      out.roundTrip = report.currentRoundTripTime ?? 0;
    }
  }
  return out;
}
