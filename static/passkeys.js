// What allauth's scripts make of a passkey that did not come about: said on the page, beside the
// button, instead of in the console.
{
  const buttons = document.querySelectorAll(
    "#passkey_login, [id^=mfa_webauthn_]:is(button)"
  )
  const say = (text) => {
    for (const button of buttons) {
      let note = button.parentElement.querySelector(".passkey-note")
      if (!note) {
        note = document.createElement("p")
        note.className = "message error passkey-note"
        note.setAttribute("role", "alert")
        button.before(note)
      }
      note.textContent = text
    }
  }
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault()
    const name = event.detail.exception?.name
    say(
      name === "NotAllowedError" || name === "AbortError"
        ? "Nothing was done: it was broken off, or took too long."
        : name === "InvalidStateError"
          ? "This device has a passkey for your account already."
          : "The passkey could not be used here. Try another way."
    )
  })
  if (!window.PublicKeyCredential) {
    for (const button of buttons) button.disabled = true
    say("This browser can't use passkeys.")
  }
}
