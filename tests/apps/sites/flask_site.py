"""The contract of behaviours in Flask."""

from __future__ import annotations

import atexit
import hashlib
import os

from flask import (
    Flask,
    Response,
    after_this_request,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    session,
    url_for,
)
from notebook import note, pass_gate, shared
from werkzeug.exceptions import ClientDisconnected

app = Flask(__name__)
app.secret_key = "not a secret"

note("startup")
atexit.register(note, "shutdown")


@app.after_request
def add_site_field(response):
    response.headers["x-site"] = "flask"
    return response


@app.get("/json")
def show_json():
    return jsonify(greeting="grüß dich", pid=os.getpid())


@app.get("/page")
def page():
    return render_template("page.html", site="flask", name=request.args["name"])


@app.get("/redirect")
def elsewhere():
    return redirect("/page?name=friend", 303)


@app.route("/echo/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo(rest):
    query = list(request.args.items(multi=True))
    return jsonify(method=request.method, path=rest, query=query)


@app.post("/form")
def form():
    return jsonify(request.form.to_dict())


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(
        filename=file.filename,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        note=request.form["note"],
    )


@app.put("/sink")
def sink():
    digest, size = hashlib.sha256(), 0
    try:
        while part := request.stream.read(65536):
            if not size:
                note(f"sink began {request.args['token']}")
            digest.update(part)
            size += len(part)
    except (ClientDisconnected, OSError):
        note(f"sink broken {request.args['token']}")
        raise
    return jsonify(size=size, sha256=digest.hexdigest())


@app.get("/stream")
def stream():
    count, size = int(request.args["count"]), int(request.args["size"])
    parts = (b"%c" % (97 + number % 26) * size for number in range(count))
    return Response(parts, mimetype="text/plain")


@app.get("/relay")
def relay():
    gate = request.args["gate"]

    def parts():
        yield b"before\n"
        pass_gate(gate)
        yield b"after\n"

    return Response(parts(), mimetype="text/plain")


@app.get("/endless")
def endless():
    token = request.args["token"]

    def parts():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return Response(parts(), mimetype="text/plain")


@app.post("/background")
def background():
    gate = request.args["gate"]

    def after():
        pass_gate(gate)
        note(f"background done {gate}")

    @after_this_request
    def arrange(response):
        response.call_on_close(after)
        return response

    return jsonify(accepted=True), 202


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(visits=session["visits"])


@app.get("/crash")
def crash():
    raise RuntimeError(f"crash on purpose {request.args['token']}")


@app.get("/crash-midway")
def crash_midway():
    token = request.args["token"]

    def parts():
        yield b"some of it"
        raise RuntimeError(f"crash on purpose {token}")

    return Response(parts(), mimetype="text/plain")


@app.get("/tagged")
def tagged():
    response = Response(b"tagged content", mimetype="text/plain")
    response.set_etag("v1")
    return response.make_conditional(request)


@app.get("/file")
def file():
    return send_file(shared(request.args["name"]))


@app.get("/where")
def where():
    return jsonify(
        prefix=request.root_path,
        url=url_for("where"),
        client=request.remote_addr or None,
        scheme=request.scheme,
        forwarded=request.headers.get("x-forwarded-for"),
        host=request.host,
    )
