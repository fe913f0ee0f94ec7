# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that is hard to pass on unchanged, and endings that are none."""

from __future__ import annotations

_ALL_BYTES = bytes(byte for byte in range(256) if byte not in b"\r\n")
#: Each ends with CR LF or is empty, as content does in SMTP.
CONTENTS = {
    "empty": b"",
    "one empty line": b"\r\n",
    "empty lines": b"\r\n" * 1000,
    "no header": b"\r\njust a body\r\n",
    "no body": b"Subject: x\r\n",
    "no empty line": b"this is no header\r\n",
    "one dot": b".\r\n",
    "dots": b".\r\n..\r\n...\r\n.x\r\n..x\r\n",
    "dots after empty lines": b"\r\n.\r\n\r\n..\r\n\r\n",
    "nul": b"Subject: a\0b\r\n\r\n\0\0\r\n\0.\r\n",
    "all bytes": b"Subject: x\r\n\r\n" + _ALL_BYTES + b"\r\n" + _ALL_BYTES[::-1] + b"\r\n",
    "8 bit": "Subject: Grüße\r\n\r\näöü\r\n".encode() + "äöü\r\n".encode("latin-1"),
    "a line of 998": b"\r\n" + b"x" * 998 + b"\r\n",
    "a line of 2000": b"\r\n" + b"x" * 2000 + b"\r\n",
    "a header of 8000": b"DKIM-Signature: b=" + b"x" * 8000 + b"\r\n\r\nbody\r\n",
    "a line of 1 MiB": b"\r\n" + b"x" * 1048576 + b"\r\nend\r\n",
    "a header of 1 MiB": b"X: " + b"x" * 1048576 + b"\r\n\r\nend\r\n",
    "a line of 1 MiB of dots": b"." * 1048576 + b"\r\n",
    "folded empty lines in a header": b"Subject: x\r\n \r\n\t\r\n y\r\n\r\nbody\r\n",
    "white space at line ends": b"Subject: x \t\r\n\r\nbody \r\n\t\r\n",
    "a mailbox line": b"From a@example.com Sat Jan 1\r\n>From x\r\nSubject: y\r\n\r\nFrom z\r\n",
    "commands": b"\r\nQUIT\r\nRSET\r\nMAIL FROM:<x@example.com>\r\nDATA\r\n",
    "mime": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\n.\r\n--b--\r\nepilogue\r\n",
    "base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD\r\n" * 1000,
    "nearly 4 MiB": b"x" * 1022 + b"\r\n" + b"0123456789abcdef" * 64 * 4000 + b"\r\n",
}

#: Everything that some server somewhere takes for the end of data, and what is near it.
ENDINGS = [
    *(b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\n.\r\r\n"),
    *(
        b"\r\r\n.\r\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\0\n.\r\n",
        b"\r\n.\r\0\n",
        b"\0\r\n.\0\r\n",
    ),
    *(
        b"\r\n .\r\n",
        b"\r\n. \r\n",
        b"\r\n.\t\r\n",
        b"\n\n.\n\n",
        b"\r\n\x85.\x85",
        b"\xc2\x85.\xc2\x85",
        b"\x0b.\x0b",
        b"\x0c.\x0c",
    ),
    *(b"\r\n..\r\n", b"\r\n.\n\r\n.\r", b"\n.\n\r\n", b"\xe2\x80\xa8.\xe2\x80\xa8"),
]
SMUGGLED = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil"
