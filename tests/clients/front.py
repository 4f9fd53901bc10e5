"""Puts a plain HTTP server where `https://api.hubapi.com` is, for this process only: its name leads to a TLS front of ours,
whose certificate a test authority has signed. Nothing else of a client is changed, and no other name resolves.
"""

import os
import socket
import ssl
import tempfile
import threading
from urllib.parse import urlsplit

import certifi
import trustme

HOST = "api.hubapi.com"


def serve_as_hubspot(url):
    """Call before a client is imported: libraries read the authorities when they load."""
    authority = trustme.CA()
    folder = tempfile.mkdtemp(prefix="hubspot-front-")
    bundle = os.path.join(folder, "authority.pem")
    authority.cert_pem.write_to_path(bundle)
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = bundle
    certifi.where = lambda: bundle
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    target = urlsplit(url)
    threading.Thread(target=accept, args=(listener, context, (target.hostname, target.port)), daemon=True).start()
    lead_there(listener.getsockname()[1])


def accept(listener, context, target):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, context, target), daemon=True).start()


def serve(connection, context, target):
    try:
        client = context.wrap_socket(connection, server_side=True)
        server = socket.create_connection(target)
    except OSError:
        connection.close()
        return
    back = threading.Thread(target=pump, args=(server, client), daemon=True)
    back.start()
    pump(client, server)
    back.join()
    client.close()
    server.close()


def pump(source, sink):
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def lead_there(port):
    resolve = socket.getaddrinfo

    def getaddrinfo(host, service, *rest, **named):
        name = host.decode() if isinstance(host, bytes) else host
        if name == HOST:
            return resolve("127.0.0.1", port, *rest, **named)
        if name in ("127.0.0.1", "localhost"):
            return resolve(host, service, *rest, **named)
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is not on this machine")

    socket.getaddrinfo = getaddrinfo
