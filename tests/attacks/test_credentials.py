"""Attack: a credential in the URL of a source, to be found later in what is kept."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from tests.attacks.conftest import Patient
from tests.blobs import write_blobs
from tests.homes import Home

from headrace.data.sources.opening import open_source
from headrace.display.credentials import (
    credential_advice,
    find_credential,
    hide_credentials,
    schema_pattern,
)
from headrace.errors import HeadraceError
from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.state.remote import storage_options

CANARY = "canary-7Hq2"
WITH_CREDENTIAL = {
    "userinfo": f"https://ada:{CANARY}@127.0.0.1:9/blobs.npz",
    "user alone": f"https://{CANARY}@127.0.0.1:9/blobs.npz",
    "upper case": f"HTTPS://ada:{CANARY}@127.0.0.1:9/blobs.npz",
    "a slash in it": f"https://ada:x/{CANARY}@127.0.0.1:9/blobs.npz",
    "a question mark in it": f"https://ada:x?{CANARY}@127.0.0.1:9/blobs.npz",
    "chained": f"simplecache::https://ada:{CANARY}@127.0.0.1:9/blobs.npz",
    "by a proxy": f"https://proxy/?url=https://ada:{CANARY}@host/x.npz",
    "encoded": f"https://proxy/?url=https%3A%2F%2Fada%3A{CANARY}%40host%2Fx.npz",
    "s3 keys": f"s3://AKIAEXAMPLE:{CANARY}@bucket/blobs.npz",
    "s3 secret with a slash": f"s3://AKIAEXAMPLE:a/{CANARY}@bucket/blobs.npz",
    "token": f"https://127.0.0.1:9/blobs.npz?token={CANARY}",
    "encoded name": f"https://127.0.0.1:9/x?%74oken={CANARY}",
    "fragment": f"https://127.0.0.1:9/x#access_token={CANARY}",
    "presigned": f"https://b.s3.amazonaws.com/x?X-Amz-Date=1&X-Amz-Signature={CANARY}",
    "sas": f"https://a.blob.core.windows.net/c/x?sv=2024&sig={CANARY}",
    "encoded twice": f"https://p/?url=https%253A%252F%252Fada%253A{CANARY}%2540host%252Fx",
    **{
        name: f"https://127.0.0.1:9/x?a=1&{name}={CANARY}"
        for name in ("api_key", "password", "passcode", "sid", "PIN", "sshkey", "db_pw")
    },
    "encoded whole": f"https%3A%2F%2Fada%3A{CANARY}%40host",
    "encoded at": f"https://ada:{CANARY}%40host/x",
    "in quotes": f"https://127.0.0.1:9/x?token='{CANARY}'",
}
WITHOUT = [
    "/data/a@b:c/x.npz",
    "https://host/a@b/x.npz",
    "https://[::1]:8080/a@b.npz",
    "https://host/x.npz?version=3&page=2&monkey=1&author=ada",
    "s3://bucket/folder/a:b@c.npz",
    "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/name/a@b.npz",
    "abfs://container@account.dfs.core.windows.net/x.npz",
    "github://keras-team:keras@master/x.npz",
    "zip://x.npz::https://host/a.zip",
    "https://host/x.npz?sort_key=1&spin=1&design=3&sessions=7&tokenizer=bpe",
    "https://host/my%20data/x%2Fy.npz?q=pin%3D3&name=100%25",
]


@pytest.mark.parametrize("uri", WITH_CREDENTIAL.values(), ids=WITH_CREDENTIAL)
def test_a_credential_is_seen_and_hidden(uri):
    assert find_credential(uri)
    assert CANARY not in find_credential(uri)
    assert CANARY not in credential_advice(uri)
    hidden = hide_credentials(f"reading {uri} failed")
    assert CANARY not in hidden
    assert hidden.startswith("reading ")
    assert hidden.endswith((" failed", "token=***"))  # of quotes that stay open
    assert hide_credentials(hidden) == hidden
    assert CANARY not in str(HeadraceError(f"at {uri}."))
    # The pattern of a schema decodes nothing.
    assert "%" in uri or not re.search(schema_pattern(), uri)


def test_the_advice_is_about_the_url_that_holds_the_credential():
    for uri, beginning in {
        f"zip://x.csv::https://ada:{CANARY}@host/x.zip": "https://host/",
        f"zip://x.csv::s3://key:{CANARY}@bucket/x.zip": "s3://bucket/",
        f"tar://x.csv::https://host/x.tar?token={CANARY}": "https://host/",
        f"https://proxy/?url=https%3A%2F%2Fada%3A{CANARY}%40host%2Fx": "https://host/",
    }.items():
        assert f'{{"{beginning}": {{' in credential_advice(uri)
        assert CANARY not in credential_advice(uri)


@pytest.mark.parametrize("uri", WITHOUT)
def test_what_holds_none_is_left_alone(uri):
    assert find_credential(uri) == ""
    assert hide_credentials(uri) == uri
    assert re.search(schema_pattern(), uri)
    assert DataSpec(source=uri).source == uri


def test_a_long_text_is_looked_through_at_once():
    text = "A" * 90_000 + f" https://ada:{CANARY}@host/" + "%41" * 30_000
    started = time.monotonic()
    assert find_credential(text)
    assert CANARY not in hide_credentials(text)
    assert time.monotonic() - started < 5, "it took 40 s"


def hits(*places):
    """The files below some folders that have the canary in their bytes."""
    return [
        str(file)
        for place in places
        for file in place.rglob("*")
        if file.is_file() and CANARY.encode() in file.read_bytes()
    ]


def commands(uri, output):
    """All the ways in which a command is given a source."""
    return [
        ["run", "blobs", "--data", uri],
        ["run", "blobs", "--set", f"data.source={json.dumps(uri)}"],
        ["run", "blobs", "--set", f"data.sorce={uri}"],
        ["run", uri],
        ["new", "fresh", "--medium", "image", "--data", uri],
        ["score", "blobs", uri, str(output / "scores.csv")],
        ["score", "blobs", "blobs.npz", f"{uri}&.csv"],
    ]


@pytest.mark.parametrize("kind", ["userinfo", "presigned", "s3 secret with a slash"])
def test_no_command_keeps_or_says_a_credential(kind, home, tmp_path):
    for arguments in commands(WITH_CREDENTIAL[kind], tmp_path):
        answer = home.headrace(*arguments, "--json")
        assert answer.exit_code == 2, (arguments, answer)
        assert answer.json["status"] == "error"
        assert CANARY not in answer.out + answer.err, arguments
        assert "Traceback" not in answer.err
    assert hits(tmp_path, home.project) == []
    assert not (home.path / "prefect").exists(), "nothing was started"


def test_a_pipeline_file_with_a_credential_is_refused(tmp_path):
    folder = tmp_path / "pipelines" / "leaky"
    folder.mkdir(parents=True)
    text = f'medium = "image"\n[data]\nsource = "{WITH_CREDENTIAL["token"]}"\n'
    (folder / "pipeline.toml").write_text(text)
    leaky = Home(tmp_path / "home", tmp_path)
    for arguments in (["run", "leaky"], ["check", "leaky"], ["deploy", "leaky"]):
        answer = leaky.headrace(*arguments, "--json")
        assert answer.exit_code == 2, answer
        assert "data.source" in answer.json["reason"]
        assert CANARY not in answer.out + answer.err
    assert hits(tmp_path / "home") == []
    assert leaky.headrace("list", "--json").exit_code == 0, "the others go on"


def test_prefect_refuses_it_before_it_keeps_anything(prefect_server):
    """The form and the API hold a run's parameters against the deployment's schema."""
    import httpx
    from prefect.utilities.callables import parameter_schema

    from headrace_flows.score import score
    from headrace_flows.train import train
    from headrace_ops.environment import authorization, prefect_login

    for flow, parameters in [
        (train, {"pipeline": {"name": "x", "medium": "image"}}),
        (score, {"model": "x", "source": "a", "output": "b.csv"}),
    ]:
        schema = json.loads(json.dumps(parameter_schema(flow.fn).model_dump()))
        headers = authorization(prefect_login())
        with httpx.Client(
            base_url=prefect_server, headers=headers, timeout=60, transport=Patient()
        ) as client:
            made = client.post("/flows/", json={"name": f"canary-{flow.name}"}).json()
            deployed = client.post(
                "/deployments/",
                json={
                    "name": "attack",
                    "flow_id": made["id"],
                    "parameter_openapi_schema": schema,
                    "enforce_parameter_schema": True,
                },
            ).json()
            runs = f"/deployments/{deployed['id']}/create_flow_run"
            for kind in ("userinfo", "token", "s3 keys", "presigned"):
                uri = WITH_CREDENTIAL[kind]
                given = json.loads(json.dumps(parameters))
                if "pipeline" in given:
                    given["pipeline"]["data"] = {"source": uri}
                else:
                    given["source"] = uri
                answer = client.post(runs, json={"parameters": given})
                assert answer.status_code in (409, 422), (kind, answer.text)
            if "pipeline" in given:
                given["pipeline"]["data"] = {"source": "s3://bucket/x.npz"}
            else:
                given["source"] = "s3://bucket/x.npz"
            assert client.post(runs, json={"parameters": given}).status_code == 201


class _Guarded(http.server.BaseHTTPRequestHandler):
    """Gives a file to who has the header, or the token among the parameters."""

    body = b""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        by_header = self.headers.get("Authorization") == f"Bearer {CANARY}"
        if not by_header and f"token={CANARY}" not in self.path:
            self.send_error(403)
            return
        body = self.body
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
            body = body[start : end + 1]
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def guarded(tmp_path):
    """The URL of a file that only who has the canary gets."""
    _Guarded.body = write_blobs(tmp_path / "served.npz").read_bytes()
    (tmp_path / "served.npz").unlink()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/blobs.npz"
    server.shutdown()
    server.server_close()
    thread.join()


def options_for(url, how):
    return json.dumps({url.rpartition("/")[0] + "/": how})


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Authorization": f"Bearer {CANARY}"}},
        {"params": {"token": CANARY}},
    ],
    ids=["headers", "params"],
)
def test_storage_options_open_what_a_credential_opens(guarded, how, tmp_path):
    home = {"project": tmp_path, "home": tmp_path / "home"}
    settings = Settings(**home, storage_options=options_for(guarded, how))
    with open_source(guarded, settings) as source:
        assert sum(len(chunk.labels) for chunk in source.chunks) == 240
    assert CANARY not in repr(settings) + settings.model_dump_json()
    with pytest.raises(HeadraceError, match="HEADRACE_STORAGE_OPTIONS"):
        open_source(guarded, Settings(**home))


def test_a_run_with_storage_options_keeps_none(
    guarded,
    home,
    prefect_server,
    mlflow_database,
    tmp_path_factory,
    monkeypatch,
    tmp_path,
):
    """Home, output, both databases and all that is said: no hit, where it was used."""
    settings = Settings(project=home.project, home=home.path)
    settings.prepare_home()
    (home.path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    options = options_for(guarded, {"headers": {"Authorization": f"Bearer {CANARY}"}})
    monkeypatch.setenv("HEADRACE_STORAGE_OPTIONS", options)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    ran = home.headrace("run", "blobs", "--data", guarded, "--json")
    assert ran.json["status"] == "promoted"
    assert ran.json["snapshot"]["source"] == guarded
    output = str(tmp_path / "scores.csv")
    scored = home.headrace("score", "blobs", guarded, output, "--json")
    assert scored.json["rows"] == 240
    gone = home.headrace("run", "blobs", "--data", f"{guarded}x?id=1", "--json")
    for answer in (ran, scored, gone):
        assert CANARY not in answer.out + answer.err
    assert hits(tmp_path, home.project) == []
    servers = list(tmp_path_factory.getbasetemp().glob("server*"))
    assert any(list(server.rglob("prefect.db")) for server in servers)
    assert hits(*servers) == []


def test_options_of_one_host_are_not_given_to_another(tmp_path):
    table = {
        "https": {"headers": {"a": "all"}},
        "https://data.example": {"headers": {"a": "one"}},
        "https://data.example/deep/": {"headers": {"a": "two"}},
        "s3": {"key": "k"},
    }
    settings = Settings(project=tmp_path, storage_options=json.dumps(table))

    def options(uri):
        return storage_options(uri, settings)

    assert options("https://data.example/x")["headers"] == {"a": "one"}
    assert options("https://data.example/deep/x")["headers"] == {"a": "two"}
    assert options("https://data.example.evil.com/x")["headers"] == {"a": "all"}
    assert options("https://data.example@evil.com/x")["headers"] == {"a": "all"}
    assert options("s3://bucket/x") == {"key": "k"}
    assert options("zip://x::s3://bucket/x.zip") == {"s3": {"key": "k"}}
    assert options("/a/path") == {}


def test_the_page_of_a_server_that_is_reached_with_a_login_is_kept_without_it(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from headrace.settings import Settings\n"
            "from headrace_ops.run_server import RunServer\n"
            "print(RunServer(Settings()).ui_url)",
        ],
        env={
            **os.environ,
            "HEADRACE_HOME": str(tmp_path / "home"),
            "PREFECT_API_URL": f"http://ada:{CANARY}@prefect.test:4200/api",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "@prefect.test:4200" in done.stdout
    assert CANARY not in done.stdout
