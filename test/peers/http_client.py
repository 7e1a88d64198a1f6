# Python's http.client against a server: http_client.py PORT. One line of JSON for each request, all on one connection.
import http.client
import json
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)


def ask(method, path, body=None, headers=None, chunked=False):
    connection.request(method, path, body=body, headers=headers or {}, encode_chunked=chunked)
    response = connection.getresponse()
    print(json.dumps([response.status, response.version, response.read().decode("utf8")]), flush=True)


ask("GET", "/hello")
ask("POST", "/echo", body="posted")
ask("POST", "/echo", body=iter([b"in ", b"chunks"]), headers={"Transfer-Encoding": "chunked"}, chunked=True)
ask("HEAD", "/hello")
ask("GET", "/stream")
ask("GET", "/nowhere")
connection.close()
