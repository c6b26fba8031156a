// Keeps a page of the account up to date while it is open. The account's socket (docs/socket.md)
// says that something changed; the page is then fetched once more, and its regions, the elements
// with data-live="some-name", get what the server says now. What somebody types stands in no region.
{
  const account = document.querySelector("[data-account]")
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? ""
  const SIGNED_OUT = 4401 // with which the server closes a socket whose sign-in has ended
  const SLOWEST = 60_000 // ms between two tries to open a socket
  const REFRESH_EVERY = 1_500 // ms between two looks at the page
  const SETTLED = 4_000 // ms after which what a spent balance sets off (a top-up) has come to an end
  const LATE = 12_000 // ms after which a payment that is not confirmed is called late
  const began = performance.now()

  // --- The regions ---------------------------------------------------------------------------
  let looking = false
  let again = false

  async function refresh() {
    if (looking) {
      again = true
      return
    }
    looking = true
    try {
      const address = account.dataset.page || location.href
      const answer = await fetch(address, { headers: { accept: "text/html" } })
      if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html")
        for (const region of document.querySelectorAll("[data-live]")) {
          const now = fresh.querySelector(`[data-live="${region.dataset.live}"]`)
          if (now && words(now) !== words(region)) put(region, now)
        }
      }
    } catch {
      // The network is away; whoever called asks again.
    }
    sayHowLong()
    setTimeout(() => {
      looking = false
      if (again) {
        again = false
        refresh()
      }
    }, REFRESH_EVERY)
  }

  // A region's content, without the tokens that differ each time a form is shown.
  function words(region) {
    const copy = region.cloneNode(true)
    for (const input of copy.querySelectorAll("[name=csrfmiddlewaretoken]")) input.remove()
    for (const late of copy.querySelectorAll("[data-late]")) late.hidden = true
    return copy.outerHTML
  }

  function put(region, now) {
    const controls = () => [...region.querySelectorAll("a[href], button, input")]
    const focused = controls().indexOf(document.activeElement)
    for (const { name, value } of now.attributes) region.setAttribute(name, value)
    region.replaceChildren(...[...now.childNodes].map((node) => document.importNode(node, true)))
    if (focused >= 0) (controls()[focused] ?? region).focus()
  }

  // --- A payment that is on its way ----------------------------------------------------------
  const waiting = () => document.querySelector("[data-waiting]")

  function sayHowLong() {
    if (performance.now() - began < LATE) return
    for (const late of document.querySelectorAll("[data-late]")) late.hidden = false
  }

  async function awaitPayment() {
    const pauses = [1_500, 3_000, 5_000, 8_000, 13_000, 20_000]
    for (let turn = 0; waiting(); turn += 1) {
      await new Promise((done) => setTimeout(done, pauses[Math.min(turn, pauses.length - 1)]))
      if (!waiting()) return
      if (turn === 0) await askOnce(waiting())
      await refresh()
    }
  }

  // Stripe's own message may be lost: have the server look, once. The button asks again.
  async function askOnce(form) {
    try {
      const body = new URLSearchParams(new FormData(form))
      await fetch(form.action, { method: "POST", body, headers: { accept: "application/json" } })
    } catch {
      // As above: the page is looked at again in any case.
    }
  }

  // --- The socket ----------------------------------------------------------------------------
  let socket = null
  let pause = 1_000
  let timer = 0
  let known = false // whether a socket has told its state before
  let settling = 0
  let leaving = false

  async function listen() {
    timer = 0
    try {
      const answer = await fetch("/api/ws-ticket", {
        method: "POST",
        headers: { "x-csrftoken": token },
      })
      if (answer.status === 401 || answer.status === 403) return // signed out
      if (!answer.ok) return later()
      const { ticket } = await answer.json()
      const url = new URL(`/ws/account?ticket=${ticket}`, location.href)
      url.protocol = url.protocol.replace("http", "ws")
      socket = new WebSocket(url)
    } catch {
      return later()
    }
    socket.addEventListener("message", (event) => {
      pause = 1_000
      hear(JSON.parse(event.data))
    })
    socket.addEventListener("close", ({ code }) => {
      socket = null
      if (!leaving && code !== SIGNED_OUT) later()
    })
  }

  function later() {
    clearTimeout(timer)
    timer = setTimeout(listen, pause * (0.5 + Math.random()))
    pause = Math.min(pause * 2, SLOWEST)
  }

  function hear({ type, plan, balance }) {
    if (type === "state") {
      const same =
        account.dataset.plan === plan.slug &&
        account.dataset.status === plan.status &&
        account.dataset.available === balance.available
      if (known || !same) refresh()
      known = true
    } else if (type === "job") {
      refresh()
    } else if (type === "balance" || type === "subscription") {
      refresh()
      clearTimeout(settling)
      settling = setTimeout(refresh, SETTLED) // a top-up that was declined changes no balance
    } else {
      return
    }
    if (balance) say(balance.available)
  }

  // At once, whatever the page takes.
  function say(available) {
    const [whole, rest] = available.replace(/\.?0+$/, "").split(".")
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",")
    const short = rest ? `${grouped}.${rest}` : grouped
    for (const place of document.querySelectorAll("[data-say=available]")) {
      if (place.textContent !== short) place.textContent = short
    }
  }

  if (account) {
    listen()
    awaitPayment()
    // Whoever comes back from Stripe's portal may have changed what no message of the socket tells,
    // and be here before Stripe has said so.
    if (!document.referrer.startsWith(location.origin)) {
      for (const pause of [2_000, 6_000, 15_000]) setTimeout(refresh, pause)
    }
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return
      refresh() // back from another tab, such as that of a payment, or of signing in again
      if (!socket && !timer) listen()
    })
    addEventListener("pagehide", () => {
      leaving = true
      clearTimeout(timer)
      socket?.close()
    })
    addEventListener("pageshow", (event) => {
      if (event.persisted) {
        leaving = false
        listen()
        refresh()
      }
    })
  }
}
