/** Files of the person's own: a network, an image. Both are refused here already where they are too large. */

import { get, request, Refusal } from "./api.js";

/** Open a model file as another network, and look at it; `said` is what the person says of it, empty where nothing. */
export async function openFile(app, file, said, signal) {
  check(file, app.session.limits.model_bytes ?? app.session.limits.upload_bytes, "network");
  const told = Object.entries({ name: file.name, ...said }).filter(([, value]) => value);
  const response = await request("POST", `models?${new URLSearchParams(told)}`, { body: file, signal });
  const { id } = await response.json();
  app.session.models = (await get("session")).models;
  app.store.set({ model: id, explain: null, layer: null, map: null }, { step: true });
}

/** Take an image file along as the one that is looked at. */
export async function uploadImage(app, file) {
  check(file, app.session.limits.image_bytes ?? app.session.limits.upload_bytes, "image");
  const { id } = await (await request("POST", `uploads?name=${encodeURIComponent(file.name)}`, { body: file })).json();
  app.store.set({ image: { upload: id } }, { step: true });
}

function check(file, most, what) {
  if (!file.size)
    throw new Refusal(`${file.name} is empty; choose the file of an ${what}.`.replace("an n", "a n"), 413);
  if (most && file.size > most) {
    throw new Refusal(
      `${file.name} has ${megabytes(file.size)}, but this explorer takes at most ${megabytes(most)}; choose a smaller ${what}.`,
      413,
    );
  }
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
