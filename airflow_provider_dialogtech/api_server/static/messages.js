// Shows the messages that the user may see, and refreshes them. The values of a message are inserted as text, never as HTML.
"use strict";

const EVERY = 5000; // milliseconds between two refreshes
const filters = document.getElementById("filters");
const rows = document.getElementById("messages");
const live = document.getElementById("live");
const dialog = document.getElementById("settling");
const problem = document.getElementById("problem");
const found = document.getElementById("found");
let shown = "";
let settling = null;

function element(name, options = {}, ...children) {
  const made = Object.assign(document.createElement(name), options);
  made.append(...children);
  return made;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// The window of Airflow's UI, where this page is in its frame.
function airflow() {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null; // a frame of another origin cannot be read
  }
}

// Follows Airflow's theme within its frame, else the system's.
function followTheme() {
  const outer = airflow();
  const dark = outer
    ? outer.document.documentElement.classList.contains("dark")
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.className = [dark ? "dark" : "light", live.classList.contains("lost") ? "lost" : ""].join(" ");
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(typeof body.detail === "string" ? body.detail : `Airflow answered ${answer.status}.`);
  return body;
}

// A long name breaks after its separators, not within a word.
function breakable(name) {
  return name.split(/(?<=[._+-])/).flatMap((part) => [part, element("wbr")]);
}

function timeOf(message) {
  const time = element("time", { dateTime: message.at, textContent: new Date(message.at).toLocaleString() });
  return element("td", { className: "time" }, time);
}

// Airflow's frame may not navigate the window around it, so the page asks Airflow's UI to show the task.
function openInAirflow(event) {
  const outer = airflow();
  if (!outer || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  outer.history.pushState({}, "", event.currentTarget.href);
  outer.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
}

function taskOf(message) {
  const cell = element("td", { className: "task" });
  if (!message.dag_id) return cell;
  const name = message.task_name ? `${message.dag_id}.${message.task_name}` : `DAG ${message.dag_id}`;
  if (message.task_url) {
    const link = element("a", { href: message.task_url, target: "_top" }, ...breakable(name));
    link.addEventListener("click", openInAirflow);
    cell.append(link);
  } else cell.append(...breakable(name));
  if (message.run_id) cell.append(element("div", { className: "run" }, ...breakable(message.run_id)));
  return cell;
}

function rowOf(message) {
  const label = message.state.replace("_", " ");
  const state = element("td", {}, element("span", { className: `state ${message.state}`, textContent: label }));
  if (message.is_alert) state.append(" ", element("span", { className: "state", textContent: "alert" }));
  const todo = element("td", { className: "todo" });
  if (message.may_settle) {
    const button = element("button", { type: "button", textContent: "Settle" });
    button.setAttribute("aria-label", `Settle the message to ${message.to}`);
    button.addEventListener("click", () => open(message));
    todo.append(button);
  }
  const to = element("td", { className: "to", textContent: message.to });
  return element("tr", {}, timeOf(message), state, to, taskOf(message), element("td", { className: "reason", textContent: message.reason }), todo);
}

function gauge(label, used, limit) {
  const meter = element("meter", { min: 0, max: limit, high: limit * 0.9, value: Math.min(used, limit) });
  return element("label", {}, `${label}: ${used} of ${limit}`, meter);
}

function accountOf(account) {
  const box = element("div", { className: "account" }, element("h2", { textContent: account.name }));
  box.append(gauge("Account, in this second", account.used, account.limit));
  for (const number of account.numbers) box.append(gauge(`Number ${number.name}, in this minute`, number.used, number.limit));
  if (account.waiting) box.append(element("p", { textContent: `${count(account.waiting, "message")} waiting for a slot` }));
  return box;
}

function showMessages({ messages, more, may_look_up: mayLookUp }) {
  document.getElementById("look-up").hidden = !mayLookUp;
  const fresh = JSON.stringify([messages, more]);
  if (fresh === shown) return; // keeps the focus of a button
  shown = fresh;
  rows.replaceChildren(...messages.map(rowOf));
  document.getElementById("empty").hidden = messages.length > 0;
  document.getElementById("summary").textContent = more
    ? `The newest ${messages.length} messages. Choose a shorter period or a DAG to see others.`
    : count(messages.length, "message");
}

function showLimits({ accounts, alerts_sent: sent, alerts_suppressed: suppressed }) {
  document.getElementById("limits").replaceChildren(...accounts.map(accountOf));
  const further = suppressed ? `; ${suppressed} suppressed, to be counted in the next message` : "";
  document.getElementById("alerts").textContent = sent === null ? "" : `${count(sent, "alert")} sent in 24 hours${further}`;
}

async function refresh() {
  const wanted = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  try {
    const [messages, limits] = await Promise.all([ask(`messages?${wanted}`), ask("limits")]);
    showMessages(messages);
    showLimits(limits);
    live.className = "";
    live.textContent = `Live, ${new Date().toLocaleTimeString()}`;
  } catch (error) {
    live.className = "lost";
    live.textContent = error instanceof TypeError ? "Airflow does not answer. These messages are not up to date." : error.message;
  }
  followTheme();
}

function open(message) {
  settling = message;
  problem.textContent = found.textContent = "";
  document.getElementById("question").textContent = `Was the message to ${message.to} sent?`;
  dialog.showModal();
}

function command(name, body = {}) {
  const headers = { "Content-Type": "application/json", "X-DialogTech-Page": "messages" };
  return ask(`messages/${settling.id}/${name}`, { method: "POST", headers, body: JSON.stringify(body) });
}

async function lookUp() {
  found.textContent = "Asking DialogTech …";
  problem.textContent = "";
  try {
    const { listed, times, sent, meaning } = await command("look-up");
    found.textContent = `${count(listed, "message")} listed, ${times.length} like it; the journal has ${sent} as sent. ${meaning}`;
  } catch (error) {
    found.textContent = "";
    problem.textContent = error.message;
  }
}

async function settle(outcome) {
  try {
    await command("settle", { outcome });
    dialog.close();
    await refresh();
  } catch (error) {
    problem.textContent = error.message;
  }
}

dialog.addEventListener("click", (event) => {
  if (!(event.target instanceof HTMLButtonElement)) return;
  if (event.target.value === "look-up") lookUp();
  else if (event.target.value) settle(event.target.value);
  else dialog.close();
});
// Airflow's UI keeps the filters of a task's link in its own address.
for (const [name, value] of new URLSearchParams(location.search || airflow()?.location.search)) {
  if (filters.elements[name]) filters.elements[name].value = value;
}
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", refresh);
followTheme();
refresh();
setInterval(() => document.hidden || refresh(), EVERY);
