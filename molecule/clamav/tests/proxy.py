# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy and the mirror behind it in one program, which runs on the host: says what it was asked, by whom.

freshclam(1) asks a proxy for a tunnel (CONNECT) also where the mirror is asked by HTTP. Arguments: port, file that any
request for an .hdb file is answered with.
"""

from __future__ import annotations

import base64
import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        given = self.headers.get("Proxy-Authorization", "").partition(" ")[2]
        print("tunnel to", self.path, "for", base64.b64decode(given).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
        # what comes next on this connection is for the mirror
        self.close_connection = False

    def do_GET(self) -> None:
        print("asked for", self.path, flush=True)
        if not self.path.endswith(".hdb"):
            self.send_error(404)
            return
        with open(sys.argv[2], "rb") as file:
            content = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
