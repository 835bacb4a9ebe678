"""Security: only the page itself is answered, from this machine unless a secret is known, and pages load nothing foreign."""

import socket

import httpx
import pytest
from tests.explore.conftest import new_session, served

from trojancam.explore.security import COOKIE, TOKEN_HEADER, Access


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 403),  # another port
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({TOKEN_HEADER: ""}, 403),
        ({TOKEN_HEADER: "guess"}, 403),
        ({TOKEN_HEADER: "gu\u00e9ss".encode("latin-1")}, 403),
    ],
)
def test_only_the_page_itself_is_answered(client, headers, status):
    answer = client.get("/api/session", headers=headers)
    assert answer.status_code == status
    assert (status == 200) != ("error" in answer.json())


def test_the_own_origin_is_known_by_both_names(client):
    port = client.base_url.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        answer = client.get("/api/session", headers={"Host": host, "Origin": f"http://{host}"})
        assert answer.status_code == 200


def test_a_token_in_the_address_counts_only_where_no_header_can_be_sent(client):
    token = client.headers[TOKEN_HEADER]
    with httpx.Client(base_url=client.base_url, cookies=client.cookies) as bare:
        assert bare.get("/api/session", params={"token": token}).status_code == 403
        assert bare.get("/api/scans/s9/events", params={"token": token}).status_code == 404
        assert bare.get("/api/scans/s9/page", params={"token": token}).status_code == 404
        assert bare.get("/api/scans/s9/page").status_code == 403
        assert bare.delete("/api/scans/s9", params={"token": token}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/session", "/api/nothing", "/static/index.html"])
def test_every_answer_keeps_to_itself(client, path):
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_everybody_needs_the_secret(host, data, model_file):
    """On this machine, too: others may have accounts on it."""
    session = new_session(data, model_file)
    with served(session, host) as (access, address), httpx.Client(base_url=address) as visitor:
        for path in ("/", "/static/index.html", "/api/session", "/?token=guess"):
            answer = visitor.get(path, headers={TOKEN_HEADER: access.token})
            assert answer.status_code == 403
            assert "whole address" in answer.json()["error"]
        welcome = visitor.get("/", params={"token": access.secret})
        assert (welcome.status_code, welcome.headers["location"]) == (303, "/")
        cookie = welcome.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}-{access.port}={access.secret};")
        assert {"HttpOnly", "SameSite=strict"} < set(cookie.split("; "))
        assert visitor.get("/").status_code == 200
        assert visitor.get("/api/session").status_code == 403  # the page's token is wanted all the same
        assert visitor.get("/api/session", headers={TOKEN_HEADER: access.token}).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "status", "part"),
    [
        ("/nothing", {}, 404, "nothing at this address"),
        ("/api/nothing", {}, 404, "nothing at this address"),
        ("/api/scans/s9/page", {}, 404, "this scan is not, or no longer, known"),
        ("/api/images?model=%3Cb%3E", {}, 404, "no model &#x27;&lt;b&gt;&#x27;"),
        ("/", {"Host": "evil.example"}, 403, "this explorer answers at http://127.0.0.1:"),
        ("/api/session", {TOKEN_HEADER: "guess"}, 403, "this page belongs to another run"),
    ],
)
def test_a_person_reads_a_refusal_as_a_page(client, path, headers, status, part):
    answer = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", **headers})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert part in answer.text
    assert 'rel="icon" href="data:,"' in answer.text, "the browser would ask for one"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_wrong_name_is_told_a_right_one_but_no_secret(data, model_file):
    session = new_session(data, model_file)
    with served(session, "0.0.0.0") as (access, address), httpx.Client(base_url=address) as visitor:
        sentence = visitor.get("/", headers={"Host": "evil.example"}).json()["error"]
    assert f"http://{socket.gethostname()}:{access.port}/ only" in sentence
    assert access.secret not in sentence


@pytest.mark.parametrize(
    ("host", "header", "known"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "LOCALHOST:8000", True),
        ("127.0.0.1", "[::1]:8000", True),
        ("127.0.0.1", "127.0.0.1:8001", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1.evil.example:8000", False),
        ("192.168.0.7", "192.168.0.7:8000", True),
        ("192.168.0.7", "localhost:8000", False),
        ("0.0.0.0", "192.168.0.7:8000", True),
        ("0.0.0.0", "evil.example:8000", False),
        ("::", "[fe80::1]:8000", True),
        ("box.example", "box.example:8000", True),
    ],
)
def test_a_server_knows_its_names(host, header, known):
    assert Access(host).knows(header) is known


def test_addresses_tell_the_secret():
    own = Access("::1")
    assert own.address == f"http://[::1]:8000/?token={own.secret}"
    assert own.place == "http://[::1]:8000/"
    other = Access("192.168.0.7", 80)
    assert other.address == f"http://192.168.0.7:80/?token={other.secret}"
    assert other.knows("192.168.0.7")
    assert other.secret not in repr(other)
    assert other.token not in repr(other)
    assert len({Access().token for _ in range(5)}) == 5
