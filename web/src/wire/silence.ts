// Notices a connection that died without saying so. A subscribed room moves every second: past this much silence it
// asks, and past it again it gives up. It is told what is heard; it knows no socket.

const SILENCE_MS = 5_000;
const LOOK_MS = 1_000;

export class Silence {
  private timer: ReturnType<typeof setInterval> | undefined;
  private heardAtMs = 0;
  private asked = false;
  private readonly ask: () => void;
  private readonly giveUp: () => void;

  constructor(ask: () => void, giveUp: () => void) {
    this.ask = ask;
    this.giveUp = giveUp;
  }

  start(): void {
    this.stop();
    this.heard();
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  heard(): void {
    this.heardAtMs = Date.now();
    this.asked = false;
  }

  private look(): void {
    const silentMs = Date.now() - this.heardAtMs;
    if (silentMs > 2 * SILENCE_MS && this.asked) this.giveUp();
    else if (silentMs > SILENCE_MS && !this.asked) {
      this.asked = true;
      this.ask();
    }
  }
}
