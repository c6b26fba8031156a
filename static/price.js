// What a quantity of credits costs, as the server says, while it is typed. Without this script the
// form's own button asks.
for (const form of document.querySelectorAll("form[data-price]")) {
  const field = form.querySelector("[name=quantity]")
  const price = form.querySelector("[data-say=price]")
  const zero = form.dataset.zero // such as $0.00: how the server writes money
  const decimals = zero.match(/0\.(0+)/)?.[1].length ?? 0
  let timer = 0
  let asked = null

  async function ask() {
    asked?.abort()
    const quantity = field.value.trim().replaceAll(",", "")
    if (!/^\d{1,9}$/.test(quantity)) return show("Type a whole number, such as 100.", false)
    asked = new AbortController()
    const query = new URLSearchParams({ quantity })
    try {
      const answer = await fetch(`${form.dataset.price}?${query}`, {
        headers: { accept: "application/json" },
        signal: asked.signal,
      })
      const body = await answer.json()
      show(answer.ok ? words(body) : said(body.error), answer.ok)
    } catch (error) {
      if (error.name === "AbortError") return
      price.textContent = "The price can't be shown now; the next page says it before you pay."
      price.classList.add("bad")
    }
  }

  function show(text, ok) {
    price.textContent = text
    price.classList.toggle("bad", !ok)
    field.setAttribute("aria-invalid", String(!ok))
  }

  function words({ amount, quantity }) {
    const number = (amount / 10 ** decimals).toLocaleString("en-US", {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    })
    const money = zero.replace(/0(\.0+)?/, number)
    return `${money} for ${quantity.toLocaleString("en-US")} ${form.dataset.name}`
  }

  // The message is meant for programs, too, and begins with the name of the field.
  function said({ message }) {
    const text = message.replace(/^quantity: /, "")
    return text[0].toUpperCase() + text.slice(1)
  }

  field.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(ask, 150)
  })
  for (const button of form.querySelectorAll("[data-without-script]")) button.hidden = true
}
