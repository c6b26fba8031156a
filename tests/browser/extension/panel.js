// What an extension's side panel does with Farebox. The tests call these functions through
// window.panel; opened as panel.html?server=http://localhost:PORT.

const server = new URLSearchParams(location.search).get("server")
const socket = { current: null, messages: [], closed: null }

// --- PKCE (RFC 7636) ---

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)))
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

const random = (bytes) => base64url(crypto.getRandomValues(new Uint8Array(bytes)))

async function challengeOf(verifier) {
  return base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)))
}

// --- Signing in and out ---

// Opens the authorize page; answers { code, verifier, redirect }. `interactive: false` shows
// nothing and fails where somebody would have to do something.
async function authorize({ interactive = true, prompt = "", redirect = "", clientId = "" } = {}) {
  const verifier = random(48)
  const state = random(16)
  redirect ||= chrome.identity.getRedirectURL("cb")
  const url = new URL("/identity/o/authorize", server)
  url.search = new URLSearchParams({
    client_id: clientId || chrome.runtime.id,
    response_type: "code",
    redirect_uri: redirect,
    scope: "openid email",
    code_challenge: await challengeOf(verifier),
    code_challenge_method: "S256",
    state,
    ...(prompt && { prompt }),
  })
  const back = new URL(await chrome.identity.launchWebAuthFlow({ url: url.href, interactive }))
  if (back.searchParams.get("state") !== state) throw new Error("the state is another's")
  const error = back.searchParams.get("error")
  if (error) throw new Error(error)
  return { code: back.searchParams.get("code"), verifier, redirect }
}

// One request to the token endpoint; answers { status, body }.
async function token(fields) {
  const body = new URLSearchParams({ client_id: chrome.runtime.id, ...fields })
  const answer = await fetch(`${server}/identity/o/api/token`, { method: "POST", body })
  return { status: answer.status, body: await answer.json() }
}

function redeem({ code, verifier, redirect }) {
  return token({
    grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: redirect,
  })
}

// The tokens are kept where a closed browser forgets them, before anything uses them.
async function keep({ status, body }) {
  if (status !== 200) throw new Error(`${status} ${body.error}`)
  await chrome.storage.session.set({ tokens: body })
  return body
}

async function tokens() {
  return (await chrome.storage.session.get("tokens")).tokens
}

async function signIn(options) {
  return keep(await redeem(await authorize(options)))
}

async function renew() {
  const { refresh_token } = await tokens()
  return keep(await token({ grant_type: "refresh_token", refresh_token }))
}

async function signOut() {
  const { refresh_token } = await tokens()
  const body = new URLSearchParams({ client_id: chrome.runtime.id, token: refresh_token })
  const answer = await fetch(`${server}/identity/o/api/revoke`, { method: "POST", body })
  await chrome.storage.session.remove("tokens")
  document.querySelector("#account").textContent = "Signed out"
  return answer.status
}

// --- The API ---

async function call(path, { method = "GET", json, bearer } = {}) {
  bearer ??= (await tokens())?.access_token
  return fetch(`${server}${path}`, {
    method,
    headers: {
      ...(bearer && { authorization: `Bearer ${bearer}` }),
      ...(json && { "content-type": "application/json" }),
    },
    ...(json && { body: JSON.stringify(json) }),
  })
}

// Answers { status, body }, for a page that the test asks from outside.
async function ask(path, options) {
  const answer = await call(path, options)
  const text = await answer.text()
  return { status: answer.status, body: text.startsWith("{") ? JSON.parse(text) : text }
}

async function me() {
  const found = await ask("/api/me")
  if (found.status === 200) document.querySelector("#account").textContent = found.body.email
  return found
}

// Streams a chat completion; answers { status, text, chunks, call }.
async function chat(words) {
  const json = {
    model: "demo", stream: true, max_tokens: 200, messages: [{ role: "user", content: words }],
  }
  const answer = await call("/v1/chat/completions", { method: "POST", json })
  const shown = document.querySelector("#answer")
  shown.textContent = ""
  let chunks = 0
  let buffer = ""
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (buffer + part.value).split("\n\n")
    buffer = events.pop()
    for (const event of events) {
      const data = event.replace(/^data: /, "")
      if (data === "[DONE]") continue
      chunks += 1
      shown.textContent += JSON.parse(data).choices[0]?.delta?.content ?? ""
    }
  }
  return {
    status: answer.status, text: shown.textContent, chunks,
    call: answer.headers.get("x-farebox-call"),
  }
}

// --- The socket ---

async function ticket() {
  return ask("/api/ws-ticket", { method: "POST" })
}

// Opens it with a ticket; answers 0 once its first message is there, else the code it closes with.
async function listen(given) {
  const value = given ?? (await ticket()).body.ticket
  const address = server.replace(/^http/, "ws")
  const opened = new WebSocket(`${address}/ws/account?ticket=${encodeURIComponent(value)}`)
  Object.assign(socket, { current: opened, messages: [], closed: null })
  opened.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data)
    socket.messages.push(message)
    if (message.balance) {
      document.querySelector("#balance").textContent = message.balance.available
    }
  })
  return new Promise((resolve) => {
    opened.addEventListener("message", () => resolve(0))
    opened.addEventListener("close", ({ code }) => {
      if (socket.current === opened) socket.closed = code
      resolve(code)
    })
  })
}

window.panel = {
  ask, authorize, chat, listen, me, redeem, renew, signIn, signOut, socket, ticket, token, tokens,
}
