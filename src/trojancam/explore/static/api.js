/** The server, asked and answering: refusals become sentences, and a server that is gone is waited for. */

const token = document.querySelector('meta[name="trojancam-token"]').content;
const PATIENCE = [300, 900, 2000]; // ms before a busy server is asked again
const RETRY = 1500; // ms between looks for a server that has gone
export const BUSY = 503;

/** What the server refused, in its own sentence; `scan` is the running one that is in the way, if it is that. */
export class Refusal extends Error {
  constructor(sentence, status, scan = null) {
    super(sentence);
    this.status = status;
    this.scan = scan;
  }
}

/**
 * Tells `gone` when the server does not answer, `back` when it does again, and `shut` with a sentence when there is one
 * that does not let this page in.
 */
export const connection = new EventTarget();
let gone = false;

/**
 * One request. `json` or `body` is what is sent; `signal` gives it up.
 * @returns {Promise<Response>}
 */
export async function request(method, path, { json, body, signal } = {}) {
  for (let attempt = 0; ; attempt++) {
    const response = await send(method, path, { json, body, signal });
    if (response.ok) return response;
    if (response.status === BUSY && attempt < PATIENCE.length) {
      await pause(PATIENCE[attempt], signal);
      continue;
    }
    throw await refusal(response);
  }
}

/** An address that a tab of its own can open, where no header can be sent. */
export const address = (path) => `api/${path}?${new URLSearchParams({ token })}`;

export const get = async (path, options) => (await request("GET", path, options)).json();
export const post = async (path, json, options) => (await request("POST", path, { json, ...options })).json();
export const remove = (path) => request("DELETE", path);

async function send(method, path, { json, body, signal }) {
  const headers = { "X-TrojanCAM-Token": token };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  else if (body) headers["Content-Type"] = "application/octet-stream";
  try {
    const sent = json === undefined ? body : JSON.stringify(json);
    const response = await fetch(`api/${path}`, { method, headers, body: sent, signal, cache: "no-store" });
    answered();
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    vanished();
    throw new Refusal("The explorer's server does not answer.", 0);
  }
}

/** The server's own sentence; one of ours where it has none. */
async function refusal(response) {
  const { status } = response;
  try {
    const { error, scan } = await response.json();
    if (typeof error === "string" && error) return new Refusal(error, status, scan);
  } catch {
    /* not JSON: a proxy or a crash */
  }
  return new Refusal(`The explorer's server failed with status ${status}; see what it printed in its terminal.`, status);
}

function answered() {
  if (!gone) return;
  gone = false;
  connection.dispatchEvent(new Event("back"));
}

function vanished() {
  if (gone) return;
  gone = true;
  connection.dispatchEvent(new Event("gone"));
  setTimeout(look, RETRY);
}

/**
 * Look whether the server is there again. One that was started anew has another token, so the page is loaded anew; but not
 * where it would be refused, for that would leave nothing of it.
 */
async function look() {
  try {
    const response = await fetch("api/session", { headers: { "X-TrojanCAM-Token": token }, cache: "no-store" });
    if (response.status !== 403) return answered();
    const page = await fetch(location.pathname + location.search, { cache: "no-store" });
    if (page.ok) return location.reload();
    connection.dispatchEvent(new CustomEvent("shut", { detail: (await refusal(page)).message }));
  } catch {
    /* it is still gone */
  }
  setTimeout(look, RETRY);
  return undefined;
}

/** Wait, unless it is given up. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("overtaken", "AbortError"));
    });
  });
}
