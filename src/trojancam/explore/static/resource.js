/** Resource: the server's answer to what the view asks for now. The latest question wins. */

import { connection, post } from "./api.js";

const OVERDUE = 400; // ms after which a request is given up for a newer one; a faster one still shows how things go

export class Resource extends EventTarget {
  /** The answer, the question that it answers, what is wrong (a sentence), and whether a newer answer is on its way. */
  value = null;
  question = null;
  error = "";
  loading = false;

  #gone = false;
  #wanted = "null";
  #sent = "null";
  #running = null;
  #since = 0;

  /** @param {string} path where to ask @param {(answer: object) => any} prepare what to make of an answer */
  constructor(path, prepare = (answer) => answer) {
    super();
    this.path = path;
    this.prepare = prepare;
    connection.addEventListener("back", () => this.#gone && this.again());
  }

  /**
   * What the view needs now, or null. While an answer is on its way the newest question waits for it, so that one who
   * drags sees every answer that there is time for and the server is never asked two things at once for one place.
   */
  want(question) {
    const key = JSON.stringify(question);
    if (key === this.#wanted) return;
    this.#wanted = key;
    if (question === null) this.#forget();
    else if (!this.#running || performance.now() - this.#since > OVERDUE) this.#send();
  }

  /** Ask the same once more. */
  again() {
    if (this.#wanted !== "null") this.#send();
  }

  #forget() {
    this.#running?.abort();
    this.#running = null;
    this.#sent = "null";
    this.#became({ value: null, question: null, error: "", loading: false });
  }

  async #send() {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    const question = JSON.parse((this.#sent = this.#wanted));
    this.#since = performance.now();
    this.#became({ loading: true, error: "" });
    let outcome;
    try {
      const value = await this.prepare(await post(this.path, question, { signal: running.signal }));
      outcome = { value, question, error: "" };
    } catch (error) {
      outcome = this.#failure(error);
    }
    if (running.signal.aborted) return;
    this.#running = null;
    this.#gone = Boolean(outcome.gone);
    delete outcome.gone;
    const newer = this.#wanted !== this.#sent;
    this.#became({ ...outcome, loading: newer });
    if (newer && !this.#running) this.#send();
  }

  /** What was refused leaves nothing to show; where the server is gone, the banner says so, and the last answer stays. */
  #failure(error) {
    return error.status === 0 ? { gone: true } : { value: null, question: null, error: error.message };
  }

  #became(parts) {
    Object.assign(this, parts);
    this.dispatchEvent(new Event("change"));
  }
}
