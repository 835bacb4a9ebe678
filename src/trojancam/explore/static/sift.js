/** Does this image bear a trigger? What each input-level defence says of it, and where those that know a place see it. */

import { magnitude } from "./arrays.js";
import { Scale } from "./colour.js";
import { el, write } from "./dom.js";
import { clear, drawOver } from "./heat.js";
import { refusalPlace } from "./notices.js";
import { short, whole } from "./numbers.js";

const MINIMAL = "cognitive-distillation"; // its place is the minimal mask
const HEADINGS = ["Defence", "Says", "Score", "Suspicious above", "p-value", "Where"];

export function mountSift(app) {
  const rows = app.session.defences.map((defence) => row(app, defence)),
    words = el("p", { class: "quiet words" });
  const ask = el("button", { type: "button", id: "sift-image", onClick: () => begin(app) }, "Ask the defences");
  const head = HEADINGS.map((words_, at) => el("th", { scope: "col", class: at > 1 && at < 5 ? "number" : "" }, words_));
  const table = el(
    "table",
    { class: "plain" },
    el("thead", {}, el("tr", {}, head)),
    el(
      "tbody",
      {},
      rows.map(({ element }) => element),
    ),
  );
  const scroll = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Defences" }, table);
  const section = el(
    "section",
    { class: "sift stack", id: "sift", "aria-label": "Does this image bear a trigger?" },
    el("h2", {}, "Does this image bear a trigger?"),
    words,
    el("div", {}, ask),
    scroll,
  );
  app.watch([...app.defences.values(), app.explanation], () => {
    section.hidden = app.state.layer !== null;
    ask.hidden = app.sifting;
    scroll.hidden = !app.sifting;
    write(
      words,
      "Each defence learns from clean test images, and sets its threshold so that one clean image in twenty would be called " +
        "suspicious. The p-value is the share of clean images that score as high, this one counted with them.",
    );
    if (!section.hidden && app.sifting) rows.forEach(({ show }) => show());
  });
  return section;
}

function begin(app) {
  app.sifting = true;
  app.store.tell();
}

function row(app, { name, title, source }) {
  const says = el("td"),
    place = refusalPlace(),
    where = el("td", { class: "place" }),
    canvas = el("canvas", { class: "heat", role: "img" }),
    caption = el("div", { class: "small quiet" });
  const [score, threshold, p] = Array.from({ length: 3 }, () => el("td", { class: "number" }));
  const label = el("th", { scope: "row" }, title, el("div", { class: "small quiet" }, source));
  where.append(canvas, caption);
  const element = el("tr", {}, label, says, score, threshold, p, where);
  element.dataset.defence = name;
  const told = el("b");
  says.append(told, place);
  const show = () => {
    const asked = app.defences.get(name),
      value = asked.value && sameImage(app, asked) ? asked.value : null,
      { picture } = app.current(app.explanation) ?? {};
    place.show(asked.error, () => asked.again());
    if (value?.unable) {
      write(told, "Cannot work here");
      told.className = "quiet";
      write(caption, whole(value.unable));
      canvas.hidden = true;
      return;
    }
    write(told, value ? (value.suspicious ? "Suspicious" : "Not suspicious") : asked.error ? "" : "Asking …");
    told.className = value?.suspicious ? "alarm" : value ? "calm" : "quiet";
    write(score, value ? short(value.score) : "");
    write(threshold, value ? short(value.threshold) : "");
    write(p, value ? short(value.p_value) : "");
    const known = value?.place && picture;
    canvas.hidden = !known;
    write(caption, value ? (known ? (name === MINIMAL ? "minimal mask" : "place") : "knows no place") : "");
    if (!known) {
      clear(canvas);
      return;
    }
    canvas.setAttribute("aria-label", `Where ${title} sees the reason`);
    drawOver(canvas, value.place, new Scale(magnitude(value.place.values)), picture);
  };
  return { element, show };
}

/** Whether an answer is of the network and the image that are looked at, as they are now. */
function sameImage(app, { question }) {
  const { model, image, trigger } = question.subject,
    now = app.explanation.question?.subject;
  return now && JSON.stringify([model, image, trigger]) === JSON.stringify([now.model, now.image, now.trigger]);
}
