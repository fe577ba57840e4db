"""The WSGI application of the benchmarks."""

from benchmarks.apps.answers import FILE, FILE_BYTES, HELLO, TEN_KIB


def answer(start_response, body):
    head = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", head)
    return [body]


def hello(_environ, start_response):
    return answer(start_response, HELLO)


def ten_kib(_environ, start_response):
    return answer(start_response, TEN_KIB)


def echo(environ, start_response):
    length = int(environ["CONTENT_LENGTH"])
    return answer(start_response, environ["wsgi.input"].read(length))


def file(environ, start_response):
    """With the server's file wrapper where there is one, else by one read."""
    content = open(FILE, "rb")  # noqa: SIM115 - the server closes what it wraps
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        with content:
            return answer(start_response, content.read())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(FILE_BYTES))])
    return wrapper(content)


ROUTES = {"/hello": hello, "/10k": ten_kib, "/echo": echo, "/file": file}


def app(environ, start_response):
    return ROUTES[environ["PATH_INFO"]](environ, start_response)
