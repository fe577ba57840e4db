"""A Flask application: a page, a form, a stream. Serve it with

granian-d flask_app:app --interface wsgi --workers 2
"""

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, redirect, render_template_string, request, session, url_for

PAGE = """<!doctype html><title>granian-d</title>
<h1>Hello, {{ session.name or "stranger" }}!</h1>
<p>This page comes from worker process {{ pid }}.</p>
<form method="post"><input name="name" placeholder="Your name"> <button>Say hello</button></form>
<p><a href="{{ url_for('stream') }}">a stream</a></p>
"""

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "only for trying it out")


@app.get("/")
def page():
    return render_template_string(PAGE, pid=os.getpid())


@app.post("/")
def greet():
    session["name"] = request.form["name"]
    return redirect(url_for("page"), 303)


@app.get("/stream")
def stream() -> Response:
    def ticks() -> Iterator[str]:
        for number in range(10):
            yield f"tick {number}\n"
            time.sleep(0.2)

    return Response(ticks(), mimetype="text/plain")
