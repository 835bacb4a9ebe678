/** Files of the person's own: a network, an image. Both are refused here already where they are too large. */

import { get, request, Refusal } from "./api.js";
import { toast } from "./notices.js";

/** Open a model file as another network, and look at it. */
export async function openFile(app, file) {
  check(file, app.session.limits.model_bytes ?? app.session.limits.upload_bytes, "network");
  toast(`Opening ${file.name} …`);
  const response = await request("POST", `models?name=${encodeURIComponent(file.name)}`, { body: file });
  const { id } = await response.json();
  app.session.models = (await get("session")).models;
  app.store.set({ model: id, explain: null, layer: null, map: null }, { step: true });
}

/** Take an image file along as the one that is looked at. */
export async function uploadImage(app, file) {
  check(file, app.session.limits.image_bytes ?? app.session.limits.upload_bytes, "image");
  const { id } = await (await request("POST", "uploads", { body: file })).json();
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
