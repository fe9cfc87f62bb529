// Rings that can be heard, made by WebAudio: no file to load.

type Cadence = { hertz: [number, number]; on: number; off: number; gain: number };

const INCOMING: Cadence = { hertz: [520, 660], on: 1.0, off: 2.0, gain: 0.12 };
const RINGBACK: Cadence = { hertz: [440, 480], on: 2.0, off: 4.0, gain: 0.05 };

/** One ring at a time; `stop` is harmless when nothing rings. */
export class Ringer {
  #context: AudioContext | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nodes: OscillatorNode[] = [];

  incoming(): void {
    this.#start(INCOMING);
  }

  ringback(): void {
    this.#start(RINGBACK);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const node of this.#nodes) node.stop();
    this.#nodes = [];
  }

  /** True while a ring is due or sounding. */
  get ringing(): boolean {
    return this.#timer !== undefined;
  }

  #start(cadence: Cadence): void {
    this.stop();
    this.#context ??= new AudioContext();
    // Without a click on the page the browser keeps the context quiet; the page shows the call all the same.
    void this.#context.resume().catch(() => undefined);
    const ring = () => {
      this.#burst(cadence);
      this.#timer = setTimeout(ring, (cadence.on + cadence.off) * 1000);
    };
    ring();
  }

  #burst(cadence: Cadence): void {
    const context = this.#context!;
    const gain = context.createGain();
    const [start, end] = [context.currentTime, context.currentTime + cadence.on];
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(cadence.gain, start + 0.02);
    gain.gain.setValueAtTime(cadence.gain, end - 0.05);
    gain.gain.linearRampToValueAtTime(0, end);
    gain.connect(context.destination);
    this.#nodes = cadence.hertz.map((frequency) => {
      const node = context.createOscillator();
      node.frequency.value = frequency;
      node.connect(gain);
      node.start(start);
      node.stop(end);
      return node;
    });
  }
}
