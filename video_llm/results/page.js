"use strict";
/* What the page does. `data` holds:
     videos: name, path, url, start, end, thumbnails [[seconds, which of jpegs]], jpegs, trouble
     rows:   video (its place), question, answer, error, notes, model, seconds,
             moments (id, start, end, score, evidence, phrase; best first), curves (evidence, axis, scores)
     axes:   times of curves
   All text in it is the user's or a model's, so it only ever becomes text, never HTML. */

const data = JSON.parse(document.getElementById("data").textContent);
const CHANNELS = { visual: "visual", speech: "speech", "screen-text": "screen text" };
const VERDICTS = { accepted: "accept", rejected: "reject" }; // as shown, and as tables of results have it
const COLUMNS = ["video", "question", "start_seconds", "end_seconds", "score", "evidence", "phrase", "verdict"];

const $ = (id) => document.getElementById(id);
const player = $("video");

let row = null; // the one that is shown
let chosen = -1; // the place of the chosen moment in row.moments
let canPlay = false;
let keysOn = true;
let loops = false;
let stillSeconds = 0; // where we are in a video that cannot be played
let awaited = null; // seconds that the player goes to as soon as it can
const history = []; // {row, place, before} of each decision, for undo

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/* 83.46 as 01:23.5, hours in front only where there are any: as tvu prints times. */
function timecode(seconds, decimals = 1) {
  const scale = 10 ** decimals;
  const units = Math.round(seconds * scale);
  const minutes = Math.floor(units / (60 * scale));
  const rest = ((units % (60 * scale)) / scale).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(minutes / 60);
  return `${hours ? `${two(hours)}:` : ""}${two(minutes % 60)}:${rest}`;
}

const percent = (probability) => `${Math.min(99, Math.round(100 * probability))} %`; // nothing estimated is certain
const times = (moment) => `${timecode(moment.start)} – ${timecode(moment.end)}`;
const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;
const videoOf = (some) => data.videos[some.video];
const say = (text) => { $("status").textContent = text; };

/* ---- decisions: one entry of localStorage for each, so that two windows cannot undo each other ---- */

const memory = new Map();
let isKept = true;
const nameOf = (moment) => `tvu verdict ${moment.id}`;

function verdictOf(moment) {
  let found = memory.get(moment.id) ?? "";
  if (isKept) {
    try { found = localStorage.getItem(nameOf(moment)) ?? ""; } catch { isKept = false; }
  }
  return Object.hasOwn(VERDICTS, found) ? found : "";
}

function keep(moment, verdict) {
  memory.set(moment.id, verdict);
  if (!isKept) return;
  try {
    if (verdict) localStorage.setItem(nameOf(moment), verdict);
    else localStorage.removeItem(nameOf(moment));
  } catch { isKept = false; }
}

function decide(verdict) {
  if (chosen < 0) return say("There is no moment to decide about.");
  const moment = row.moments[chosen];
  const before = verdictOf(moment);
  history.push({ row, place: chosen, before });
  keep(moment, before === verdict ? "" : verdict);
  showVerdicts();
  say(`Moment ${chosen + 1}, ${times(moment)}: ${verdictOf(moment) || "undecided"}.${isKept ? "" :
    " This browser keeps nothing for this page, so export before you close it."}`);
}

function undo() {
  const last = history.pop();
  if (!last) return say("There is nothing to undo.");
  keep(last.row.moments[last.place], last.before);
  if (last.row !== row) showRow(last.row);
  choose(last.place);
  showVerdicts();
  say(`Undone: moment ${last.place + 1}, ${times(row.moments[last.place])}, is ${last.before || "undecided"} again.`);
}

/* ---- export ---- */

function decisions() {
  return data.rows.flatMap((some) => some.moments.map((moment) => ({
    video: videoOf(some).path,
    question: some.question,
    start_seconds: moment.start,
    end_seconds: moment.end,
    score: moment.score,
    evidence: moment.evidence,
    phrase: moment.phrase,
    verdict: VERDICTS[verdictOf(moment)] ?? "",
  })));
}

function csv() {
  const field = (value) => (/^\s|[",\r\n]|\s$/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const lines = decisions().map((each) => COLUMNS.map((name) => field(each[name])).join(","));
  const text = [COLUMNS.join(","), ...lines].map((line) => `${line}\r\n`).join("");
  return text.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`); // bytes of a name that are no text
}

const json = () => `${JSON.stringify(decisions(), null, 1)}\n`;

function download(name, type, text) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  const open = data.rows.flatMap((some) => some.moments).filter((moment) => !verdictOf(moment)).length;
  say(`Exported ${name}${open ? `; ${count(open, "moment is", "moments are")} undecided and ${open === 1 ? "has" : "have"} no verdict in it` : ""}.`);
}

/* ---- one question ---- */

function showRow(next) {
  const video = videoOf(next);
  const isOther = row === null || videoOf(row) !== video;
  row = next;
  $("where").textContent = video.name;
  $("where").title = video.path;
  $("question").textContent = row.question;
  $("answer").textContent = row.answer;
  $("answer").hidden = !row.answer;
  $("error").textContent = `There is no answer: ${row.error}`;
  $("error").hidden = !row.error;
  $("notes").replaceChildren(...row.notes.map((note) => make("li", "", note)));
  $("notes").hidden = !row.notes.length;
  $("about").textContent = row.model ? `Answered by ${row.model}${row.seconds ? ` in ${row.seconds} s` : ""}.` : "";
  for (const button of document.querySelectorAll(".row-button")) {
    const isThis = data.rows[button.dataset.place] === row;
    button.setAttribute("aria-current", isThis);
    if (isThis) bringInto(document.querySelector(".questions"), button);
  }
  $("picker").value = data.rows.indexOf(row);
  if (isOther) openVideo(video);
  showMoments();
  showTimeline();
  choose(row.moments.length ? (order()[0] ?? -1) : -1);
  showVerdicts();
}

function openVideo(video) {
  player.pause();
  canPlay = Boolean(video.url);
  stillSeconds = video.start;
  awaited = null;
  if (video.url) player.src = video.url;
  else player.removeAttribute("src");
  player.load();
  showStage(video.url ? "" : "There is no video to play here.");
}

function showStage(trouble) {
  player.hidden = !canPlay;
  $("no-video").textContent = trouble;
  $("no-video").hidden = !trouble;
  showStill();
}

function showStill() {
  const picture = canPlay ? "" : pictureAt(videoOf(row), stillSeconds);
  $("still").hidden = !picture;
  $("still").parentElement.hidden = !picture && !canPlay;
  if (picture) $("still").src = picture;
}

/* The thumbnail that was taken nearest to a time, between `from` and `to` where these are given. */
function pictureAt(video, seconds, from = -Infinity, to = Infinity) {
  let best = null;
  for (const each of video.thumbnails) {
    if (each[0] < from || each[0] >= to) continue;
    if (!best || Math.abs(each[0] - seconds) < Math.abs(best[0] - seconds)) best = each;
  }
  return best ? `data:image/jpeg;base64,${video.jpegs[best[1]]}` : "";
}

function order() {
  const places = [...row.moments.keys()];
  const byTime = (a, b) => row.moments[a].start - row.moments[b].start;
  return $("order").value === "time" ? places.sort(byTime) : places;
}

function spoken(moment, place) {
  const verdict = verdictOf(moment) || "undecided";
  return `Moment ${place + 1}: ${timecode(moment.start)} to ${timecode(moment.end)}, ${percent(moment.score)}, ` +
    `${CHANNELS[moment.evidence]}${moment.phrase ? `, ${moment.phrase}` : ""}, ${verdict}`;
}

function showMoments() {
  const items = order().map((place) => {
    const moment = row.moments[place];
    const item = document.importNode($("moment-template").content, true).firstElementChild;
    const button = item.firstElementChild;
    button.dataset.place = place;
    button.dataset.evidence = moment.evidence;
    button.querySelector(".rank").textContent = place + 1;
    button.querySelector(".moment-times").textContent = times(moment);
    button.querySelector(".moment-evidence").textContent = CHANNELS[moment.evidence];
    button.querySelector(".moment-phrase").textContent = moment.phrase;
    button.querySelector(".moment-score").textContent = percent(moment.score);
    const picture = pictureAt(videoOf(row), (moment.start + moment.end) / 2, moment.start, moment.end);
    button.querySelector("img").hidden = !picture;
    if (picture) button.querySelector("img").src = picture;
    button.classList.toggle("bare", !picture);
    button.addEventListener("click", () => choose(place));
    return item;
  });
  $("moments").replaceChildren(...items);
  $("found-name").textContent = items.length ? count(items.length, "moment", "moments") : "No moments";
  $("found-name").parentElement.hidden = Boolean(row.error);
  $("order").parentElement.hidden = items.length < 2;
}

/* ---- the time line ---- */

const share = (seconds) => {
  const { start, end } = videoOf(row);
  return Math.min(1, Math.max(0, (seconds - start) / (end - start)));
};

function showTimeline() {
  const video = videoOf(row);
  $("strip-trouble").textContent = video.trouble;
  $("strip-trouble").hidden = !video.trouble;
  $("strip").hidden = !video.thumbnails.length;
  $("timeline").hidden = !video.thumbnails.length && !row.curves.length && !row.moments.length;
  $("lanes").replaceChildren(...Object.keys(CHANNELS).map(lane));
  drawStrip();
  drawAxis();
}

function lane(evidence) {
  const element = document.importNode($("lane-template").content, true).firstElementChild;
  element.dataset.evidence = evidence;
  element.setAttribute("aria-label", `Evidence: ${CHANNELS[evidence]}`);
  element.querySelector(".lane-text").textContent = CHANNELS[evidence];
  const curve = row.curves.find((each) => each.evidence === evidence && each.scores.length);
  const track = element.querySelector(".track");
  const places = [...row.moments.keys()].filter((place) => row.moments[place].evidence === evidence);
  places.sort((a, b) => row.moments[a].start - row.moments[b].start); // the tab key goes along the time
  element.classList.toggle("quiet", !curve && !places.length);
  track.querySelector(".no-curve").hidden = Boolean(curve) || places.length > 0;
  if (curve) drawCurve(track, data.axes[curve.axis], curve.scores);
  for (const place of places) track.append(...span(place));
  return element;
}

function drawCurve(track, axis, scores) {
  const { start, end } = videoOf(row);
  const x = (seconds) => ((1000 * (seconds - start)) / (end - start)).toFixed(1); // may leave the drawing, which is cut
  const y = (score) => (98 - 96 * score).toFixed(1);
  const points = axis.map((seconds, i) => `${x(seconds)} ${y(scores[i])}`);
  points.push(`${x(Math.max(end, axis.at(-1)))} ${y(scores.at(-1))}`); // a score holds until the next one
  track.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
  track.querySelector(".area").setAttribute("d", `M${x(axis[0])} 100L${points.join("L")}L${x(Math.max(end, axis.at(-1)))} 100Z`);
}

function span(place) {
  const moment = row.moments[place];
  const [left, right] = [100 * share(moment.start), 100 * share(moment.end)];
  const button = make("button", "span");
  button.type = "button";
  button.dataset.place = place;
  button.style.left = `${(left + right) / 2}%`;
  button.style.width = `${right - left}%`;
  const tag = make("span", "tag", String(place + 1));
  tag.append(document.importNode($("moment-template").content.querySelector(".verdict svg"), true));
  button.append(tag);
  button.title = `${times(moment)}  ${percent(moment.score)}\n${moment.phrase}`.trim();
  button.addEventListener("click", () => choose(place));
  const bar = make("span", "span-bar");
  bar.style.left = `${left}%`;
  bar.style.width = `${right - left}%`;
  return [button, bar];
}

/* As many thumbnails as there is room for, each over the time that it shows. */
function drawStrip() {
  const video = videoOf(row);
  const slots = Math.max(3, Math.round($("strip").clientWidth / ($("strip").clientWidth < 500 ? 56 : 84)));
  const wanted = Array.from({ length: slots }, (_, i) =>
    pictureAt(video, video.start + ((video.end - video.start) * (i + 0.5)) / slots));
  const shown = [...$("strip").children].map((image) => image.src);
  if (wanted.length === shown.length && wanted.every((picture, i) => picture === shown[i])) return;
  $("strip").replaceChildren(...wanted.filter(Boolean).map((picture) => {
    const image = make("img");
    image.alt = "";
    image.src = picture;
    return image;
  }));
}

function drawAxis() {
  const { start, end } = videoOf(row);
  const most = Math.max(2, Math.floor($("axis").clientWidth / 76));
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];
  const step = steps.find((each) => (end - start) / each <= most) ?? steps.at(-1);
  const ticks = [];
  for (let at = Math.ceil(start / step) * step; at <= end + 1e-6; at += step) {
    const label = make("span", "", timecode(at, 0));
    label.style.left = `${100 * share(at)}%`;
    label.classList.toggle("first", share(at) < 0.03);
    label.classList.toggle("last", share(at) > 0.97);
    ticks.push(label);
  }
  $("axis").replaceChildren(...ticks);
}

function now() {
  return canPlay ? (awaited ?? player.currentTime) : stillSeconds;
}

function showPlayhead() {
  const at = share(now());
  $("playhead").style.left = `${100 * at}%`;
  $("playhead-time").textContent = timecode(now());
  $("playhead").classList.toggle("at-left", at < 0.04);
  $("playhead").classList.toggle("at-right", at > 0.96);
}

function follow() {
  const moment = row?.moments[chosen];
  if (loops && moment && now() >= moment.end) seek(moment.start + 0.001);
  showPlayhead();
  if (!player.paused && !player.ended) requestAnimationFrame(follow);
}

/* One seek at a time, and none before the file is known: many at once are slow, and now and then leave Chromium stuck. */
function goOn() {
  if (awaited === null || player.readyState < 1 || player.seeking) return;
  player.currentTime = awaited;
  awaited = null;
}

function seek(seconds) {
  const { start, end } = videoOf(row);
  const at = Math.min(end, Math.max(start, seconds));
  stillSeconds = at;
  awaited = canPlay ? at : null;
  if (canPlay) goOn();
  else showStill();
  showPlayhead();
}

/* ---- moments ---- */

/* Scrolls only the list, where scrollIntoView would scroll the page too. */
function bringInto(list, item) {
  const [outer, inner] = [list.getBoundingClientRect(), item.getBoundingClientRect()];
  list.scrollTop += Math.min(0, inner.top - outer.top - 4) + Math.max(0, inner.bottom - Math.min(outer.bottom, innerHeight) + 4);
}

function choose(place) {
  chosen = place;
  const moment = row.moments[place];
  for (const element of document.querySelectorAll("[data-place].moment, [data-place].span")) {
    element.setAttribute("aria-current", Number(element.dataset.place) === place);
  }
  $("band").hidden = !moment || !videoOf(row).thumbnails.length; // it stands over these
  for (const id of ["accept", "reject"]) $(id).disabled = !moment;
  if (moment) {
    $("band").dataset.evidence = moment.evidence;
    $("band").style.left = `${100 * share(moment.start)}%`;
    $("band").style.width = `${100 * (share(moment.end) - share(moment.start))}%`;
    const item = document.querySelector(`.moment[data-place="${place}"]`);
    bringInto($("moments"), item);
    seek(moment.start + 0.001); // rounded down, it would show the frame before
    say(`Moment ${place + 1} of ${row.moments.length}: ${times(moment)}.`);
  } else {
    seek(videoOf(row).start);
    say("");
  }
  showPressed();
}

/* To the next or previous moment, over the border to another question where this one has no more. */
function step(by) {
  const focused = document.activeElement;
  const kind = ["moment", "span"].find((name) => focused?.classList.contains(name));
  const places = order();
  const place = places[places.indexOf(chosen) + by];
  if (chosen >= 0 && place !== undefined) {
    choose(place);
  } else {
    let at = data.rows.indexOf(row) + by;
    while (data.rows[at] && !data.rows[at].moments.length) at += by;
    if (!data.rows[at]) return say(by > 0 ? "That was the last moment." : "That was the first moment.");
    showRow(data.rows[at]);
    if (by < 0) choose(order().at(-1));
    say(`${row.question} – moment ${chosen + 1} of ${row.moments.length}: ${times(row.moments[chosen])}.`);
  }
  if (kind) document.querySelector(`.${kind}[data-place="${chosen}"]`)?.focus();
}

function stepRow(by) {
  const next = data.rows[data.rows.indexOf(row) + by];
  if (!next) return say(by > 0 ? "That was the last question." : "That was the first question.");
  showRow(next);
  say(`${row.question} – ${count(row.moments.length, "moment", "moments")}.`);
}

function showPressed() {
  const verdict = chosen < 0 ? "" : verdictOf(row.moments[chosen]);
  $("accept").setAttribute("aria-pressed", verdict === "accepted");
  $("reject").setAttribute("aria-pressed", verdict === "rejected");
  $("undo").disabled = !history.length;
}

function showVerdicts() {
  for (const element of document.querySelectorAll("[data-place].moment, [data-place].span")) {
    const place = Number(element.dataset.place);
    const verdict = verdictOf(row.moments[place]);
    if (verdict) element.dataset.verdict = verdict;
    else delete element.dataset.verdict;
    element.querySelector("svg use").setAttribute("href", `#icon-${verdict || "accepted"}`);
    const words = element.querySelector(".verdict .unseen");
    if (words) words.textContent = verdict || "undecided";
    if (element.classList.contains("span")) element.setAttribute("aria-label", spoken(row.moments[place], place));
  }
  const all = data.rows.flatMap((some) => some.moments);
  const done = all.filter(verdictOf).length;
  $("decided").textContent = `${done} of ${count(all.length, "moment", "moments")} decided`;
  $("decided-bar").max = Math.max(1, all.length);
  $("decided-bar").value = done;
  for (const button of document.querySelectorAll(".row-button")) {
    const some = data.rows[button.dataset.place];
    button.querySelector(".state").textContent = stateOf(some);
    button.classList.toggle("failed", Boolean(some.error));
    button.classList.toggle("finished", some.moments.length > 0 && some.moments.every(verdictOf));
  }
  showPressed();
}

function stateOf(some) {
  if (some.error) return "no answer";
  if (!some.moments.length) return "nothing found";
  const done = some.moments.filter(verdictOf).length;
  return count(some.moments.length, "moment", "moments") + (done ? `, ${done} decided` : "");
}

function play() {
  if (!canPlay) return say("There is no video to play here.");
  if (!player.paused) return player.pause();
  player.play().catch(() => { /* its error event tells */ });
}

/* ---- the list of questions ---- */

function showQuestions() {
  const groups = data.videos.map((video) => {
    const group = make("div", "group");
    const name = make("h3", "", video.name);
    name.title = video.path;
    group.append(name, make("ul"));
    const options = make("optgroup");
    options.label = video.name;
    return { group, options };
  });
  data.rows.forEach((some, place) => {
    const item = make("li");
    const button = make("button", "row-button");
    button.type = "button";
    button.dataset.place = place;
    button.append(make("span", "name", some.question), make("span", "state"));
    button.addEventListener("click", () => showRow(some));
    item.append(button);
    groups[some.video].group.lastElementChild.append(item);
    const option = make("option", "", `${some.question} (${stateOf(some)})`);
    option.value = place;
    groups[some.video].options.append(option);
  });
  $("questions").replaceChildren(...groups.map((each) => each.group));
  $("picker").replaceChildren(...groups.map((each) => each.options));
  $("filter-box").hidden = data.rows.length <= 20;
  document.body.classList.toggle("single", data.rows.length < 2);
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of $("questions").children) {
    let any = false;
    for (const button of group.querySelectorAll(".row-button")) {
      const some = data.rows[button.dataset.place];
      const text = `${some.question} ${videoOf(some).path} ${stateOf(some)}`.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      button.parentElement.hidden = !fits;
      any ||= fits;
    }
    group.hidden = !any;
  }
}

/* ---- keys ---- */

const KEYS = {
  " ": play,
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  a: () => decide("accepted"),
  r: () => decide("rejected"),
  u: undo,
  l: () => $("loop").click(),
  "]": () => stepRow(1),
  "[": () => stepRow(-1),
  "?": () => $("help").showModal(),
};

function onKey(event) {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open || !row) return;
  if (target.matches("input, select, textarea")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isOnVideo = target === player && player.matches(":focus-visible"); // reached by the tab key: its own keys hold
  if (isOnVideo && (key === " " || key.startsWith("Arrow"))) return;
  const isMoment = target.matches(".moment, .span");
  if (key === " " && target.matches("button, a") && !isMoment) return; // the button is meant
  if ((key === "ArrowDown" || key === "ArrowUp") && isMoment) {
    event.preventDefault();
    return step(key === "ArrowDown" ? 1 : -1);
  }
  const action = Object.hasOwn(KEYS, key) ? KEYS[key] : null;
  if (!action || !(keysOn || key === "?")) return;
  event.preventDefault();
  if (!event.repeat || key.startsWith("Arrow")) action();
}

/* ---- start ---- */

function start() {
  if (!data.rows.length) {
    document.body.append(make("p", "nothing", "There are no answers on this page."));
    return;
  }
  $("layout").hidden = false;
  showQuestions();
  try { keysOn = localStorage.getItem("tvu keys") !== "off"; } catch { isKept = false; }
  $("keys-on").checked = keysOn;
  showRow(data.rows.find((some) => some.moments.length) ?? data.rows[0]);

  document.addEventListener("keydown", onKey);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("play").addEventListener("click", play);
  $("accept").addEventListener("click", () => decide("accepted"));
  $("reject").addEventListener("click", () => decide("rejected"));
  $("undo").addEventListener("click", undo);
  $("loop").addEventListener("click", () => {
    loops = !loops;
    $("loop").setAttribute("aria-pressed", loops);
    say(loops ? "The moment repeats." : "The video plays on.");
  });
  $("export-csv").addEventListener("click", () => download("decisions.csv", "text/csv;charset=utf-8", csv()));
  $("export-json").addEventListener("click", () => download("decisions.json", "application/json", json()));
  $("open-help").addEventListener("click", () => $("help").showModal());
  $("keys-on").addEventListener("change", () => {
    keysOn = $("keys-on").checked;
    try { localStorage.setItem("tvu keys", keysOn ? "on" : "off"); } catch { isKept = false; }
  });
  $("order").addEventListener("change", () => {
    showMoments();
    if (chosen >= 0) choose(chosen);
    showVerdicts();
  });
  $("picker").addEventListener("change", () => showRow(data.rows[$("picker").value]));
  $("filter").addEventListener("input", filter);
  $("timeline").addEventListener("click", (event) => {
    if (event.target.closest("button")) return;
    const box = $("axis").getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    if (at < -0.02 || at > 1.02) return;
    const { start: from, end } = videoOf(row);
    seek(from + Math.min(1, Math.max(0, at)) * (end - from));
  });
  for (const name of ["timeupdate", "seeking", "seeked", "loadedmetadata"]) player.addEventListener(name, showPlayhead);
  for (const name of ["seeked", "loadedmetadata"]) player.addEventListener(name, goOn);
  player.addEventListener("play", () => { showPlaying(); follow(); });
  player.addEventListener("pause", showPlaying);
  player.addEventListener("error", () => {
    if (!player.getAttribute("src")) return;
    canPlay = false;
    showStage("This browser cannot play the video: it is not where it was when this page was made, or of a kind that browsers do not know. Thumbnails and times still hold.");
    showPlayhead();
  });
  window.addEventListener("storage", () => showVerdicts()); // decided in another window
  new ResizeObserver(() => { drawStrip(); drawAxis(); }).observe($("axis"));
}

function showPlaying() {
  $("play-icon").setAttribute("href", player.paused ? "#icon-play" : "#icon-pause");
  $("play-name").textContent = player.paused ? "Play" : "Pause";
}

start();
