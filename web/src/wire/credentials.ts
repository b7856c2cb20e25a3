// The tokens of this page: the one that was taken, and one that is offered in its place. They live in these two
// fields and nowhere else: not in the address, in storage, in cookies, in a log or in the page's state.

export class Credentials {
  #taken: string | undefined;
  #offered: string | undefined;

  /** The token to present next. */
  get token(): string | undefined {
    return this.#offered ?? this.#taken;
  }

  get isOffered(): boolean {
    return this.#offered !== undefined;
  }

  offer(token: string): void {
    this.#offered = token;
  }

  /** What was presented is good. */
  taken(): void {
    this.#taken = this.token;
    this.#offered = undefined;
  }

  /** What was presented is no good, and forgotten. Answers whether another is left. */
  refused(): boolean {
    if (this.#offered === undefined) this.#taken = undefined;
    this.#offered = undefined;
    return this.#taken !== undefined;
  }

  forget(): void {
    this.#taken = undefined;
    this.#offered = undefined;
  }

  headers(): Record<string, string> {
    return this.token === undefined ? {} : { authorization: `Bearer ${this.token}` };
  }
}
