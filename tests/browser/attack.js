// Tries all that a page can do to a server at the address behind "?", or at its own where there is none, and reports
// for each attempt whether it could read an answer: {name: {done, detail}}.
const target = location.search.slice(1) || location.origin;
const chat = `${target}/v1/chat/completions`;
const responses = `${target}/v1/responses`;
const prompt = {model: "claude-haiku-4-5", messages: [{role: "user", content: "Spend it."}]};
const body = JSON.stringify(prompt);
const TYPES = [
  null, "application/json", "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x", "application/json, text/plain", "text/json", "application/octet-stream",
];
const attempts = {};

const within = (promise, ms = 4000) => Promise.race([
  promise, new Promise((resolve) => setTimeout(() => resolve({done: false, detail: "nothing came"}), ms)),
]);
const element = (tag, fields, parent = document.body) => new Promise((resolve) => {
  const made = Object.assign(document.createElement(tag), fields);
  made.onload = () => resolve({done: true, detail: "loaded", made});
  made.onerror = () => resolve({done: false, detail: "error", made});
  parent.append(made);
});

for (const mode of ["cors", "no-cors", "same-origin"]) {
  for (const type of TYPES) {
    for (const credentials of ["omit", "include"]) {
      attempts[`fetch ${mode} ${type} ${credentials}`] = async () => {
        const headers = type === null ? {} : {"Content-Type": type};
        const sent = type === null ? new Blob([body]) : body;
        const answer = await fetch(chat, {method: "POST", mode, credentials, headers, body: sent});
        return {done: answer.ok, detail: `${answer.type} ${answer.status}`};
      };
    }
  }
}
for (const [name, more] of Object.entries({
  "with a header": {headers: {"Content-Type": "application/json", "X-Api-Key": "guess"}},
  "keepalive": {keepalive: true, headers: {"Content-Type": "application/json"}},
  "to loopback": {targetAddressSpace: "loopback", headers: {"Content-Type": "application/json"}},
  "to local": {targetAddressSpace: "local", headers: {"Content-Type": "application/json"}},
  "without referrer": {referrerPolicy: "no-referrer", mode: "no-cors", headers: {"Content-Type": "text/plain"}},
  "by PUT": {method: "PUT", headers: {"Content-Type": "application/json"}},
  "by PATCH": {method: "PATCH", headers: {"Content-Type": "application/json"}},
})) {
  attempts[`fetch ${name}`] = async () => {
    const answer = await fetch(chat, {method: "POST", body, ...more});
    return {done: answer.ok, detail: `${answer.type} ${answer.status}`};
  };
}
for (const path of ["/v1/models", "/", "/v1/responses/resp_1", "/v1/openapi.json"]) {
  attempts[`read ${path}`] = async () => {
    const answer = await fetch(target + path, {cache: "no-store"});
    return {done: answer.ok, detail: await answer.text()};
  };
}
attempts["delete"] = async () => ({done: (await fetch(`${responses}/resp_1`, {method: "DELETE"})).ok});
attempts["XMLHttpRequest"] = () => new Promise((resolve) => {
  const request = new XMLHttpRequest();
  request.onload = () => resolve({done: request.status === 200, detail: String(request.status)});
  request.onerror = () => resolve({done: false, detail: "error"});
  request.open("POST", chat);
  request.setRequestHeader("Content-Type", "application/json");
  request.send(body);
});
for (const type of ["application/json", "text/plain", ""]) {
  attempts[`beacon ${type}`] = async () => {  // it tells whether it is on its way, never what came of it
    navigator.sendBeacon(chat, new Blob([body], {type}));
    await new Promise((resolve) => setTimeout(resolve, 300));
    return {done: false, detail: "sent"};
  };
}
for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
  attempts[`form ${enctype}`] = async () => {
    const frame = Object.assign(document.createElement("iframe"), {name: `frame ${enctype}`});
    const form = Object.assign(document.createElement("form"), {
      method: "POST", action: chat, enctype, target: frame.name,
    });
    // As text/plain, name=value is sent as it stands: together they are JSON.
    form.append(Object.assign(document.createElement("input"), {name: body.slice(0, -1) + ',"x":"', value: '"}'}));
    document.body.append(frame, form);
    const loaded = new Promise((resolve) => { frame.onload = resolve; });
    form.submit();
    await within(loaded, 1000);
    return shown(frame);
  };
}
attempts["iframe"] = async () => shown((await element("iframe", {src: `${target}/v1/models`})).made);
attempts["image"] = () => element("img", {src: `${chat}?${encodeURIComponent(body)}`});
attempts["script"] = () => element("script", {src: `${target}/v1/models`}, document.head);
attempts["stylesheet"] = () => element("link", {rel: "stylesheet", href: `${target}/v1/models`}, document.head);
attempts["WebSocket"] = () => new Promise((resolve) => {
  const socket = new WebSocket(responses.replace("http", "ws"));
  socket.onopen = () => {
    socket.send(JSON.stringify({type: "response.create", model: prompt.model, input: "Spend it."}));
    resolve({done: true, detail: "open"});
  };
  socket.onerror = () => resolve({done: false, detail: "error"});
});
attempts["EventSource"] = () => new Promise((resolve) => {
  const source = new EventSource(responses);
  source.onopen = () => resolve({done: true, detail: "open"});
  source.onerror = () => { source.close(); resolve({done: false, detail: "error"}); };
});
attempts["worker"] = () => new Promise((resolve) => {
  const code = `fetch(${JSON.stringify(chat)}, {method: "POST", body: ${JSON.stringify(body)},
    headers: {"Content-Type": "application/json"}}).then((a) => postMessage(a.ok), () => postMessage(false))`;
  new Worker(URL.createObjectURL(new Blob([code]))).onmessage = ({data}) => resolve({done: data, detail: "worker"});
});
attempts["sandboxed frame"] = () => new Promise((resolve) => {  // its origin is null
  const code = `fetch(${JSON.stringify(chat)}, {method: "POST", body: ${JSON.stringify(JSON.stringify(prompt))},
    headers: {"Content-Type": "application/json"}})
    .then((a) => parent.postMessage(a.ok, "*"), () => parent.postMessage(false, "*"))`;
  addEventListener("message", ({data}) => resolve({done: data, detail: "null"}), {once: true});
  element("iframe", {sandbox: "allow-scripts", srcdoc: `<script>${code}</scr` + "ipt>"});
});

function shown(frame) {
  try {
    const text = frame.contentDocument.body.innerText;
    return {done: text.includes('"object"'), detail: text.slice(0, 200)};
  } catch (error) {
    return {done: false, detail: "not to be read"};
  }
}

async function run() {
  const report = {};
  const names = Object.keys(attempts);
  const next = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const {done = false, detail = ""} = await within(
        attempts[name]().catch((error) => ({done: false, detail: String(error)})));
      report[name] = {done, detail};
    }
  };
  await Promise.all(Array.from({length: 6}, next));
  await fetch("/report", {method: "POST", body: JSON.stringify(report)});
}
run();
