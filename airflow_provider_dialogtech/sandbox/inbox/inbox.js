"use strict";

const EVERY = 300; // milliseconds between two refreshes
const MOST_MESSAGES = 1000; // the newest are shown
const CONVERSATIONS = 200;
const CARDS = 12;

const at = (id) => document.getElementById(id);
const rows = new Map(); // recipient → its row in the list, reused so that focus and scroll position survive
let messages = [];
let started = 0;
let newest = 0;

// The values of a message are inserted as text, never as HTML.
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
const isBad = (message) => message.outcome !== "accepted";
const words = (outcome) => outcome.replace("_", " ");
const clock = (message, style) => new Date(message.at * 1000).toLocaleTimeString([], { timeStyle: style, hourCycle: "h23" });
const day = (message) => new Date(message.at * 1000).toLocaleDateString([], { dateStyle: "full" });

function hueOf(number) {
  let hue = 7;
  for (const digit of number) hue = (hue * 31 + digit.charCodeAt(0)) % 360;
  return hue;
}

// ---- the conversations, newest first

function conversations() {
  const byRecipient = new Map();
  for (const message of messages) {
    const list = byRecipient.get(message.to) || [];
    list.push(message);
    byRecipient.delete(message.to); // moves the recipient to the end, with its newest message
    byRecipient.set(message.to, list);
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

// ---- one conversation

function bubble(message) {
  const about = element(
    "div",
    "about",
    element("time", "", clock(message, "medium")),
    element("span", "", `from ${pretty(message.from)}`),
    element("span", message.encoding === "UCS-2" ? "pill wide" : "pill", message.encoding || "empty"),
    element("span", "pill", count(message.segments, "segment")),
  );
  const made = element("li", isBad(message) ? "message bad" : "message", element("p", "", message.message), about);
  const trouble = [];
  if (isBad(message)) trouble.push(element("span", "pill bad", words(message.outcome)), element("span", "", message.description));
  if (message.fault) trouble.push(element("span", "pill bad", "fault"), element("span", "", message.fault));
  if (trouble.length) made.append(element("div", "about", ...trouble));
  return made;
}

function showThread(to, list) {
  const accepted = list.filter((message) => !isBad(message));
  const segments = accepted.reduce((sum, message) => sum + message.segments, 0);
  at("recipient").textContent = pretty(to);
  const some = accepted.length < list.length ? ` (${accepted.length.toLocaleString()} accepted)` : "";
  at("summary").textContent = `${count(list.length, "message")}${some}, ${count(segments, "segment")}`;
  const bubbles = at("bubbles");
  const first = list[0].id;
  if (bubbles.dataset.to !== to || Number(bubbles.dataset.first) !== first) {
    Object.assign(bubbles.dataset, { to, first, last: 0, day: "" });
    bubbles.replaceChildren();
  }
  const isNew = Number(bubbles.dataset.last) === 0;
  const wasAtEnd = isNew || bubbles.scrollHeight - bubbles.scrollTop - bubbles.clientHeight < 60;
  for (const message of list.filter((message) => message.id > Number(bubbles.dataset.last))) {
    if (day(message) !== bubbles.dataset.day) bubbles.append(element("li", "day", day(message)));
    bubbles.append(bubble(message));
    Object.assign(bubbles.dataset, { last: message.id, day: day(message) });
  }
  if (wasAtEnd) bubbles.scrollTop = bubbles.scrollHeight;
}

// ---- outcomes and limits

function showOutcomes() {
  const tally = {};
  for (const message of messages) tally[message.outcome] = (tally[message.outcome] || 0) + 1;
  const pills = Object.entries(tally).map(([outcome, many]) =>
    element("li", outcome === "accepted" ? "pill accepted" : "pill bad", `${many.toLocaleString()} ${words(outcome)}`));
  if (messages.length === MOST_MESSAGES) pills.unshift(element("li", "pill", `of the newest ${MOST_MESSAGES.toLocaleString()}`));
  at("outcomes").replaceChildren(...pills);
}

function gauge(used, most, period) {
  const track = element("span", "track", element("i"));
  const limit = ` of ${most} message${most === 1 ? "" : "s"} per ${period}`;
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
  if (at("limits").dataset.drawn === drawn) return; // an unnecessary redraw would clear a selection
  at("limits").dataset.drawn = drawn;
  at("limits").replaceChildren(...shown);
}

// ---- refreshing

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
  if (list) showThread(chosen, list); // last, when the layout is known
}

async function ask(what) {
  const answer = await fetch(`/sandbox/${what}`);
  return answer.json();
}

async function look() {
  const limits = await ask("limits");
  if (limits.started !== started) [started, newest, messages] = [limits.started, 0, []];
  const arrived = await ask(`messages?after=${newest}&most=${MOST_MESSAGES}`);
  newest = arrived.at(-1)?.id ?? newest;
  const sent = arrived.filter((call) => call.action === "sms.send_message");
  const remembered = messages.filter((message) => message.id >= limits.oldest);
  const isChanged = sent.length || remembered.length < messages.length;
  messages = remembered.concat(sent).slice(-MOST_MESSAGES);
  showLimits(limits.accounts);
  if (isChanged) show();
}

async function keepLooking() {
  let isOn = true;
  try {
    await look();
  } catch {
    isOn = false; // the sandbox is stopping or starting
  }
  document.body.classList.toggle("lost", !isOn);
  at("live").className = isOn ? "on" : "off";
  at("live").textContent = isOn ? "live" : "not reachable";
  setTimeout(keepLooking, EVERY);
}

at("url").textContent = `${location.origin}/ibp_api.php`;
addEventListener("hashchange", show);
keepLooking();
