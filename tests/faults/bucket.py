"""A fake object store: the part of Google Cloud Storage's JSON interface that we use.

Objects appear whole or not at all. There is no rename, no append, no fsync and no
flock: what is not written here does not exist. Writes may be made conditional on the
generation that an object has (0: on there being none), as the real store allows; locks
rest on that. Run as a program it prints its address; a number makes it slow: bytes
per second that it takes from all writers together.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 1000  # names in one page of a listing


@dataclasses.dataclass
class Object:
    data: bytes
    generation: int
    kind: str = "application/octet-stream"


class Store:
    """{bucket: {name: object}}, and how often each was written or deleted."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Object]] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.gate = threading.RLock()
        self.generation = 0
        self.calls: dict[str, int] = {}
        self.wire = threading.Lock()
        self.rate = float("inf")  # bytes per second

    def arrive(self, size: int) -> None:
        """Take the time that writing so much takes."""
        with self.wire:
            time.sleep(size / self.rate)

    def write(
        self, bucket: str, name: str, data: bytes, wanted: str | None
    ) -> Object | None:
        """None where the object's generation is not the one that is wanted."""
        with self.gate:
            objects = self.buckets.setdefault(bucket, {})
            had = objects[name].generation if name in objects else 0
            if wanted is not None and int(wanted) != had:
                return None
            self.generation += 1
            objects[name] = Object(data, self.generation)
            return objects[name]


def described(bucket: str, name: str, found: Object) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.md5(found.data).digest()).decode()
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{found.generation}",
        "name": name,
        "bucket": bucket,
        "generation": str(found.generation),
        "metageneration": "1",
        "contentType": found.kind,
        "size": str(len(found.data)),
        "md5Hash": digest,
        "timeCreated": "2026-01-01T00:00:00.000Z",
        "updated": "2026-01-01T00:00:00.000Z",
        "storageClass": "STANDARD",
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: object) -> None:
        """In silence."""

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(size)
        split = urlsplit(self.path)
        query = {k: v[-1] for k, v in parse_qs(split.query, True).items()}
        with contextlib.suppress(BrokenPipeError):  # whoever asked was killed
            self.route(split.path, query, body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = handle_any

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def route(self, path: str, query: dict[str, str], body: bytes) -> None:
        kind = f"{self.command} {re.sub('/b/.*', '', path)}"
        with self.store.gate:
            self.store.calls[kind] = self.store.calls.get(kind, 0) + 1
        if upload := re.fullmatch(
            r"/(?:resumable/)?upload/storage/v1/b/([^/]+)/o", path
        ):
            return self.upload(upload[1], query, body)
        if path.startswith("/batch/"):
            return self.batch(body)
        if copied := re.fullmatch(
            r"/storage/v1/b/([^/]+)/o/([^/]+)/(?:copyTo|rewriteTo)/b/([^/]+)/o/([^/]+)",
            path,
        ):
            return self.copy(*map(unquote, copied.groups()))
        if one := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)", path):
            return self.object(one[1], unquote(one[2]), query)
        if many := re.fullmatch(r"/storage/v1/b/([^/]+)/o/?", path):
            return self.listing(many[1], query)
        if bucket := re.fullmatch(r"/storage/v1/b/([^/]+)(?:/storageLayout)?", path):
            return self.reply(200, {"kind": "storage#bucket", "name": bucket[1]})
        return self.reply(404, {"error": {"code": 404, "message": f"no {path}"}})

    def upload(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        self.store.arrive(len(body))
        wanted = query.get("ifGenerationMatch")
        kind = query.get("uploadType")
        if kind == "media":
            return self.written(bucket, query["name"], body, wanted)
        if kind == "multipart":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            facts, data = BytesParser().parsebytes(head + body).get_payload()
            name = json.loads(facts.get_payload(decode=True))["name"]
            raw = re.split(rb"\r?\n\r?\n", body, maxsplit=2)[2]
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
            assert boundary is not None
            end = raw.rindex(b"--" + boundary[1].encode() + b"--")
            del data
            return self.written(bucket, name, raw[:end].rstrip(b"\r\n"), wanted)
        if "upload_id" in query:
            return self.resumed(query["upload_id"], body)
        name = query.get("name") or json.loads(body)["name"]
        key = str(len(self.store.sessions))
        self.store.sessions[key] = {
            "bucket": bucket, "name": name, "wanted": wanted, "data": b"",
        }  # fmt: skip
        host = self.headers["Host"]
        place = f"http://{host}/upload/storage/v1/b/{bucket}/o?uploadType=resumable"
        return self.reply(200, {}, {"Location": f"{place}&upload_id={key}"})

    def resumed(self, key: str, body: bytes) -> None:
        session = self.store.sessions[key]
        session["data"] += body
        span = self.headers.get("Content-Range", "")
        if span.endswith("/*"):
            last = len(session["data"]) - 1
            return self.reply(308, {}, {"Range": f"bytes=0-{last}"})
        return self.written(
            session["bucket"], session["name"], session["data"], session["wanted"]
        )

    def written(self, bucket: str, name: str, data: bytes, wanted: str | None) -> None:
        found = self.store.write(bucket, name, data, wanted)
        if found is None:
            return self.reply(412, {"error": {"code": 412, "message": "precondition"}})
        return self.reply(200, described(bucket, name, found))

    def copy(self, bucket: str, name: str, other: str, new: str) -> None:
        with self.store.gate:
            found = self.store.buckets.get(bucket, {}).get(name)
            if found is None:
                return self.reply(404, {"error": {"code": 404, "message": name}})
            made = self.store.write(other, new, found.data, None)
        assert made is not None
        resource = described(other, new, made)
        return self.reply(200, {"done": True, "resource": resource} | resource)

    def object(self, bucket: str, name: str, query: dict[str, str]) -> None:
        with self.store.gate:
            objects = self.store.buckets.setdefault(bucket, {})
            found = objects.get(name)
            if found is None:
                return self.reply(404, {"error": {"code": 404, "message": name}})
            wanted = query.get("ifGenerationMatch")
            if wanted is not None and int(wanted) != found.generation:
                return self.reply(412, {"error": {"code": 412, "message": "changed"}})
            if self.command == "DELETE":
                del objects[name]
                return self.reply(204, None)
        if query.get("alt") != "media":
            return self.reply(200, described(bucket, name, found))
        return self.media(found)

    def media(self, found: Object) -> None:
        data, span = found.data, self.headers.get("Range")
        code, extra = 200, {"x-goog-generation": str(found.generation)}
        if span and (asked := re.fullmatch(r"bytes=(\d*)-(\d*)", span)):
            first, last = asked[1], asked[2]
            if not first:
                begin, end = max(0, len(data) - int(last)), len(data)
            else:
                begin = int(first)
                end = min(len(data), int(last) + 1) if last else len(data)
            if begin >= len(data):
                return self.raw(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            extra["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
            code, data = 206, data[begin:end]
        return self.raw(code, data, extra)

    def listing(self, bucket: str, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        low, high = query.get("startOffset", ""), query.get("endOffset", "")
        after = query.get("pageToken", "")
        with self.store.gate:
            objects = dict(self.store.buckets.get(bucket, {}))
        items, prefixes, last = [], [], None
        for name in sorted(objects):
            outside = name < low or (high and name >= high) or name <= after
            if not name.startswith(prefix) or outside:
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                folder = prefix + rest.split(delimiter)[0] + delimiter
                if folder not in prefixes:
                    prefixes.append(folder)
                if not (
                    query.get("includeTrailingDelimiter") == "true" and name == folder
                ):
                    continue
            items.append(described(bucket, name, objects[name]))
            last = name
            if len(items) >= int(query.get("maxResults", PAGE)):
                break
        else:
            last = None
        more = {"nextPageToken": last} if last else {}
        found = {"kind": "storage#objects", "items": items, "prefixes": prefixes} | more
        return self.reply(200, found)

    def batch(self, body: bytes) -> None:
        """Deletions, several at a time."""
        boundary = "reply"
        parts = []
        for asked in re.finditer(
            rb"DELETE \S*?/storage/v1/b/([^/]+)/o/([^\s?]+)", body
        ):
            bucket, name = asked[1].decode(), unquote(asked[2].decode())
            with self.store.gate:
                had = self.store.buckets.setdefault(bucket, {}).pop(name, None)
            line = "204 No Content" if had else "404 Not Found"
            parts.append(
                f"--{boundary}\r\nContent-Type: application/http\r\n"
                f"Content-ID: <response-{len(parts) + 1}>\r\n\r\n"
                f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n\r\n"
            )
        whole = ("".join(parts) + f"--{boundary}--\r\n").encode()
        kind = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        return self.raw(200, whole, kind)

    def reply(
        self, code: int, value: Any, headers: dict[str, str] | None = None
    ) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        self.raw(code, data, kind | (headers or {}))

    def raw(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no error."""


def served(rate: float = float("inf")) -> tuple[Quiet, str, Store]:
    """A store that answers from a thread of its own, and its address."""
    store = Store()
    store.rate = rate
    handler = type("Bound", (Handler,), {"store": store})
    server = Quiet(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}", store


def environment(address: str) -> dict[str, str]:
    """What makes our libraries take this for Google's store."""
    return {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "abc",
    }


if __name__ == "__main__":
    server, address, _ = served(*map(float, sys.argv[1:]))
    print(address, flush=True)
    sys.stdin.read()
