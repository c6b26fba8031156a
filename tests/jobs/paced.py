"""A provider that answers when the test lets it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "word"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
}


class PacedProvider:
    """``release`` lets one more answer go. Speaks as much of chat completions as jobs ask for."""

    def __init__(self) -> None:
        self._released = threading.Semaphore(0)
        self._closing = False
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                provider._released.acquire()
                if provider._closing:
                    self.close_connection = True
                    return
                body = json.dumps(_ANSWER).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def release(self) -> None:
        self._released.release()

    def close(self) -> None:
        self._closing = True
        self._released.release(100)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
