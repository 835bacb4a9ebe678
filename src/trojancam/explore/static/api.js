/** The server, asked and answering: refusals become sentences, and a server that is gone is waited for. */

const token = document.querySelector('meta[name="trojancam-token"]').content;
const PATIENCE = [300, 900, 2000]; // ms before a busy server is asked again
const RETRY = 1500; // ms between looks for a server that has gone
const BUSY = [429, 503];

/** What the server refused, in its own sentence. */
export class Refusal extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Tells `gone` when the server does not answer and `back` when it does again. */
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
    if (BUSY.includes(response.status) && attempt < PATIENCE.length) {
      await pause(PATIENCE[attempt], signal);
      continue;
    }
    throw new Refusal(await sentence(response), response.status);
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
async function sentence(response) {
  try {
    const { error } = await response.json();
    if (typeof error === "string" && error) return error;
  } catch {
    /* not JSON: a proxy or a crash */
  }
  return `The explorer's server failed with status ${response.status}; see what it printed in its terminal.`;
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

/** Look whether the server is there again; one that was started anew has another token, so the page is loaded anew. */
async function look() {
  try {
    const response = await fetch("api/session", { headers: { "X-TrojanCAM-Token": token }, cache: "no-store" });
    if (response.status === 403) location.reload();
    else answered();
  } catch {
    setTimeout(look, RETRY);
  }
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
