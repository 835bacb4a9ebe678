/** Following a scan or a repair: its server-sent events, read by hand for they need the page's token; begun anew where they break off. */

import { BUSY, get, pause, request } from "./api.js";

const ENDED = ["finished", "cancelled", "failed"];
const AGAIN = 1500; // ms

const following = new Map(); // one of each kind, by its path

/** Tell `onStatus` how it is, again and again, until it has ended; following another one ends it, too. */
export async function follow(path, id, onStatus, onError) {
  following.get(path)?.abort();
  if (!id) return;
  const running = new AbortController();
  following.set(path, running);
  try {
    for (;;) {
      let status = await patiently(() => get(`${path}/${id}`, { signal: running.signal }), running.signal);
      onStatus(status);
      if (ENDED.includes(status.state)) return;
      for await (status of events(path, id, running.signal)) onStatus(status);
      if (ENDED.includes(status.state)) return;
      await pause(AGAIN, running.signal);
    }
  } catch (error) {
    if (!running.signal.aborted) onError(error);
  }
}

/** A server that does not answer, or has too much to do, is waited for; what it refuses is an error. */
async function patiently(ask, signal) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted || refused(error)) throw error;
    }
    await pause(AGAIN, signal);
  }
}

const refused = (error) => error.status && error.status !== BUSY;

/** The events of a stream, until it ends or breaks off. */
async function* events(path, id, signal) {
  let buffer = "";
  try {
    const response = await request("GET", `${path}/${id}/events`, { signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (buffer + value.replace(/\r/g, "")).split("\n\n");
      buffer = parts.pop();
      for (const part of parts) {
        const data = part
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5))
          .join("\n");
        if (data.trim()) yield JSON.parse(data);
      }
    }
  } catch (error) {
    if (signal.aborted || refused(error)) throw error;
  }
}
