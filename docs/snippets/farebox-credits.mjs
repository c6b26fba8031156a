// Charge Farebox accounts for work: take credits, do the work, give them back if it fails.
// For Node 18 or newer, Deno, Bun and workers; nothing else is needed:
//
//   const credits = new Credits("https://farebox.example.com", process.env.FAREBOX_SERVICE_KEY);
//   const draw = credits.charged("5", "A poster", async (account, words) => { … });
//   await draw("ada@example.com", "a lighthouse");
//   await draw.order("order-1")("ada@example.com", "a lighthouse");

/** Farebox says no: `status` 402 when the account has too little, `code` for a program. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
  }
}

/** Farebox's `/api/credits`, with a service key. Keep that on a server: it can charge everybody. */
export class Credits {
  constructor(url, key, { attempts = 5, seconds = 30 } = {}) {
    Object.assign(this, { url, key, attempts, seconds });
  }

  /** One verb. Tried again while Farebox is busy or can't be reached, with the same key, so that it
   * happens once. Throws `Refused`, and what `fetch` throws when it stays away. */
  async ask(verb, idempotencyKey, body) {
    for (let attempt = 1; ; attempt++) {
      let pause = 1;
      try {
        const answer = await fetch(`${this.url}/api/credits/${verb}`, {
          method: "POST",
          headers: {
            "Content-Type": "application/json",
            Authorization: `Bearer ${this.key}`,
            "Idempotency-Key": idempotencyKey,
          },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(this.seconds * 1000),
        });
        const said = await answer.json().catch(() => ({}));
        if (answer.ok) return said;
        const again = [429, 500, 502, 503, 504].includes(answer.status);
        if (!again || attempt >= this.attempts)
          throw new Refused(answer.status, said.error ?? { message: `HTTP ${answer.status}` });
        pause = Number(answer.headers.get("Retry-After") ?? 1);
      } catch (error) {
        if (error instanceof Refused || attempt >= this.attempts) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    }
  }

  /** Charges the account that is a function's first argument, before it runs; what it throws gives
   * the credits back. `.order("…")` charges the same order once however often it is tried; one that
   * was given back is over, so try again under another. */
  charged(amount, reason, work) {
    const under = (order) => async (account, ...rest) => {
      const paid = await this.ask("spend", `${order}:spend`, { account, amount, reason });
      try {
        return await work(account, ...rest);
      } catch (error) {
        await this.ask("refund", `${order}:refund`, { transfer: paid.transfer, amount });
        throw error;
      }
    };
    const charged = (...args) => under(crypto.randomUUID())(...args);
    return Object.assign(charged, { order: under });
  }
}
