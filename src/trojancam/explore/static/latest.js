/** Latest: of several things begun, only the last one counts. */

export class Latest {
  #running = null;

  /**
   * Do it, giving up what was begun before; null where something was begun since.
   * @param {(signal: AbortSignal) => Promise<any>} deed
   */
  async run(deed) {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    try {
      const result = await deed(running.signal);
      return running.signal.aborted ? null : result;
    } catch (error) {
      if (running.signal.aborted) return null;
      throw error;
    }
  }
}
