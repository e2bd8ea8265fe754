"use strict";

const EVERY = 300; // milliseconds from one look to the next
const TEXTS = 1000; // the newest so many are shown
const CONVERSATIONS = 200;
const CARDS = 12;

const at = (id) => document.getElementById(id);
const rows = new Map(); // recipient → its row in the list, kept so that focus and scrolling stay
let texts = [];
let started = 0;
let newest = 0;

// Whatever comes from a message goes in as text, never as HTML.
function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function pretty(number) {
  const parts = /^1?(\d{3})(\d{3})(\d{4})$/.exec(number);
  return parts ? `(${parts[1]}) ${parts[2]}-${parts[3]}` : number || "no number";
}

const count = (many, noun) => `${many.toLocaleString()} ${noun}${many === 1 ? "" : "s"}`;
const isBad = (text) => text.outcome !== "accepted";
const words = (outcome) => outcome.replace("_", " ");
const clock = (text, style) => new Date(text.at * 1000).toLocaleTimeString([], { timeStyle: style, hourCycle: "h23" });
const day = (text) => new Date(text.at * 1000).toLocaleDateString([], { dateStyle: "full" });

function hueOf(number) {
  let hue = 7;
  for (const digit of number) hue = (hue * 31 + digit.charCodeAt(0)) % 360;
  return hue;
}

// ---- the conversations, newest first

function conversations() {
  const byRecipient = new Map();
  for (const text of texts) {
    const list = byRecipient.get(text.to) || [];
    list.push(text);
    byRecipient.delete(text.to); // to stand last, as its newest text does
    byRecipient.set(text.to, list);
  }
  return [...byRecipient].reverse();
}

function rowOf(to) {
  if (!rows.has(to)) {
    const face = element("span", "face", to.slice(-2) || "?");
    face.style.setProperty("--hue", hueOf(to));
    const row = element("a", "", face, element("b", "", pretty(to)), element("time"), element("span", "snippet"), element("span", "pill"));
    row.href = `#to=${encodeURIComponent(to)}`;
    rows.set(to, row);
  }
  return rows.get(to);
}

function showList(all, chosen) {
  const wanted = all.slice(0, CONVERSATIONS).map(([to, list]) => {
    const row = rowOf(to);
    const last = list.at(-1);
    const [, , time, snippet, pill] = row.children;
    time.textContent = clock(last, "short");
    snippet.textContent = isBad(last) ? `${words(last.outcome)}: ${last.message}` : last.message;
    snippet.classList.toggle("bad", isBad(last));
    pill.textContent = list.length;
    if (to === chosen) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    return row;
  });
  const hidden = all.length - wanted.length;
  if (hidden > 0) wanted.push(element("p", "", `and ${count(hidden, "older conversation")}`));
  const list = at("conversations");
  if (wanted.length !== list.children.length || wanted.some((row, index) => row !== list.children[index])) {
    list.replaceChildren(...wanted);
  }
}

// ---- one conversation, as the recipient's phone shows it

function bubble(text) {
  const about = element(
    "div",
    "about",
    element("time", "", clock(text, "medium")),
    element("span", "", `from ${pretty(text.from)}`),
    element("span", text.encoding === "UCS-2" ? "pill wide" : "pill", text.encoding || "empty"),
    element("span", "pill", count(text.segments, "segment")),
  );
  const made = element("li", isBad(text) ? "text bad" : "text", element("p", "", text.message), about);
  const trouble = [];
  if (isBad(text)) trouble.push(element("span", "pill bad", words(text.outcome)), element("span", "", text.description));
  if (text.fault) trouble.push(element("span", "pill bad", "fault"), element("span", "", text.fault));
  if (trouble.length) made.append(element("div", "about", ...trouble));
  return made;
}

function showThread(to, list) {
  const accepted = list.filter((text) => !isBad(text));
  const segments = accepted.reduce((sum, text) => sum + text.segments, 0);
  at("recipient").textContent = pretty(to);
  at("summary").textContent = `${count(accepted.length, "text")}, ${count(segments, "segment")}`;
  const bubbles = at("bubbles");
  const first = list[0].id;
  if (bubbles.dataset.to !== to || Number(bubbles.dataset.first) !== first) {
    Object.assign(bubbles.dataset, { to, first, last: 0, day: "" });
    bubbles.replaceChildren();
  }
  const isNew = Number(bubbles.dataset.last) === 0;
  const wasAtEnd = isNew || bubbles.scrollHeight - bubbles.scrollTop - bubbles.clientHeight < 60;
  for (const text of list.filter((text) => text.id > Number(bubbles.dataset.last))) {
    if (day(text) !== bubbles.dataset.day) bubbles.append(element("li", "day", day(text)));
    bubbles.append(bubble(text));
    Object.assign(bubbles.dataset, { last: text.id, day: day(text) });
  }
  if (wasAtEnd) bubbles.scrollTop = bubbles.scrollHeight;
}

// ---- what stands above them

function showOutcomes() {
  const tally = {};
  for (const text of texts) tally[text.outcome] = (tally[text.outcome] || 0) + 1;
  const pills = Object.entries(tally).map(([outcome, many]) =>
    element("li", outcome === "accepted" ? "pill accepted" : "pill bad", `${many.toLocaleString()} ${words(outcome)}`));
  if (texts.length === TEXTS) pills.unshift(element("li", "pill", `of the newest ${TEXTS.toLocaleString()}`));
  at("outcomes").replaceChildren(...pills);
}

function gauge(used, most, period) {
  const track = element("span", "track", element("i"));
  const limit = ` of ${most} text${most === 1 ? "" : "s"} per ${period}`;
  const made = element("div", "gauge", element("b", "", used), limit, track);
  made.classList.toggle("full", used >= most);
  made.querySelector("i").style.width = `${Math.min(100, (100 * used) / Math.max(most, 1))}%`;
  return made;
}

function card(title, ...gauges) {
  return element("div", "limit", element("h3", "", title), element("div", "", ...gauges));
}

function showLimits(accounts) {
  const cards = accounts.flatMap((account, index) => {
    const { account_per_second, number_per_second, number_per_minute } = account.limits;
    const numbers = Object.entries(account.numbers).map(([number, used]) => [
      used.used_per_minute,
      card(
        pretty(number),
        gauge(used.used_per_minute, number_per_minute, "minute"),
        gauge(used.used_per_second, number_per_second, "second"),
      ),
    ]);
    const title = accounts.length > 1 ? `Account ${index + 1}` : "Account";
    return [[account.used_per_second, card(title, gauge(account.used_per_second, account_per_second, "second"))], ...numbers];
  });
  const busiest = cards.length > CARDS ? [...cards].sort(([one], [other]) => other - one) : cards;
  const shown = busiest.slice(0, CARDS).map(([, made]) => made);
  if (cards.length > CARDS) shown.push(element("p", "", `and ${cards.length - CARDS} less busy`));
  const drawn = shown.map((made) => made.outerHTML).join("");
  if (at("limits").dataset.drawn === drawn) return; // a needless redraw would take a selection away
  at("limits").dataset.drawn = drawn;
  at("limits").replaceChildren(...shown);
}

// ---- all of it, again and again

function show() {
  const all = conversations();
  const asked = /^#to=(.*)$/.exec(location.hash);
  const chosen = asked ? decodeURIComponent(asked[1]) : all[0]?.[0];
  const list = all.find(([to]) => to === chosen)?.[1];
  document.body.classList.toggle("reading", Boolean(asked && list));
  at("empty").hidden = all.length > 0;
  at("conversations").hidden = !all.length;
  at("thread").hidden = !list;
  showOutcomes();
  showList(all, chosen);
  if (list) showThread(chosen, list); // last, when it is known how much room it has
}

async function ask(what) {
  const answer = await fetch(`/sandbox/${what}`);
  return answer.json();
}

async function look() {
  const limits = await ask("limits");
  if (limits.started !== started) [started, newest, texts] = [limits.started, 0, []];
  const arrived = await ask(`messages?after=${newest}&most=${TEXTS}`);
  newest = arrived.at(-1)?.id ?? newest;
  const sent = arrived.filter((call) => call.action === "sms.send_message");
  const remembered = texts.filter((text) => text.id >= limits.oldest);
  const isChanged = sent.length || remembered.length < texts.length;
  texts = remembered.concat(sent).slice(-TEXTS);
  showLimits(limits.accounts);
  if (isChanged) show();
}

async function keepLooking() {
  let isOn = true;
  try {
    await look();
  } catch {
    isOn = false; // it is stopping or starting
  }
  document.body.classList.toggle("lost", !isOn);
  at("live").className = isOn ? "on" : "off";
  at("live").textContent = isOn ? "live" : "not reachable";
  setTimeout(keepLooking, EVERY);
}

at("url").textContent = `${location.origin}/ibp_api.php`;
addEventListener("hashchange", show);
keepLooking();
