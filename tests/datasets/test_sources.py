"""Sources: rows are sound, copies are checked, and no wrong byte reaches the cache."""

import hashlib
import os
import re
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tetramer.datasets import sources
from tetramer.datasets.labels import check_labels, infer_task, labels
from tetramer.datasets.readers import READERS
from tetramer.datasets.sources import SOURCES, STATES, Mirror, Part, describe, fetch, load, state, targets
from tetramer.datasets.tables import Table
from tetramer.errors import UserError
from tetramer.metrics import METRICS

BODY = b"smiles,y\nCCO,1\n"
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()
needs_data = pytest.mark.skipif("TETRAMER_DATA" not in os.environ, reason="TETRAMER_DATA names no folder of data sets")


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_is_complete(name):
    source = SOURCES[name]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert source.holds in ("molecules", "reactions", "pairs", "geometries")
    assert source.reader in READERS
    assert source.licence
    assert source.cite
    assert source.rows > 0
    assert source.task in ("regression", "binary", "none")
    assert bool(source.targets) == (source.task != "none")
    assert not source.targets or source.task in METRICS[source.metric].tasks
    for part in source.parts:
        assert part.url.startswith("https://")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|", part.hash)
        assert part.hash or not part.verified
        assert bool(part.mirror) == bool(re.fullmatch(r"[0-9a-f]{64}", part.mirror_sha256))
        assert part.size or (source.mirror and len(source.parts) == 1)  # a page needs a copy
    if source.mirror:
        assert re.fullmatch(r"[0-9a-f]{64}", source.mirror.sha256)
        assert 0 < source.mirror.rows <= source.rows


def test_what_has_no_hash_is_told():
    unpinned = [name for name, source in SOURCES.items() if any(p.size and not p.hash for p in source.parts)]
    by_hand = [name for name, source in SOURCES.items() if source.by_hand]
    unverified = [name for name, source in SOURCES.items() if not source.verified and not source.by_hand]
    assert unpinned == ["uspto-15k"]
    assert by_hand == ["qm9-partial", "qm9-g4mp2", "pubchem-100k", "uspto-full", "qm7-geometry", "pdb-ligands"]
    assert unverified == ["freesolv", "qm8", "uspto-15k", "uspto-50k"]


@needs_data
@pytest.mark.parametrize("name", SOURCES)
def test_every_set_that_is_here_loads_with_its_rows_and_targets(name):
    source = SOURCES[name]
    if name == "qm9":
        assert state(name) in ("verified", "cached")
        return
    assert state(name) == ("bundled" if source.parts[0].bundled else "mirror")
    if source.reader == "hdf5":
        pytest.importorskip("h5py")
    table = load(name)
    assert len(table) == (source.mirror.rows if source.mirror else source.rows)
    assert not source.smiles or source.smiles in table.columns
    found = targets(name, table)
    assert bool(found) == bool(source.targets)
    if found:
        read = labels(table, list(found)[:20])
        assert infer_task(read).kind == source.task
        check_labels(read, source.task)


@needs_data
def test_sets_with_many_targets_have_all_of_them():
    toxcast = load("toxcast")
    assert len(targets("toxcast", toxcast)) == 617
    assert set(targets("toxcast", toxcast).values()) == {"1: active"}
    assert len(targets("qm8", load("qm8"))) == 16
    assert targets("muv", load("muv")).keys() == {name for name in load("muv").columns if name.startswith("MUV")}


@needs_data
def test_geometries_fit_their_molecules():
    for name in ("qm9-xyz", "qm7-geometry", "aqsol-xyz"):
        data = load(name).data
        atoms, places = (pc.list_value_length(data[column]) for column in ("atomic_numbers", "coordinates"))
        assert pc.all(pc.equal(pc.multiply(atoms, 3), places)).as_py()
    first = load("pcqm4mv2-2k").data.slice(0, 1).to_pylist()[0]
    assert first["smiles"].startswith("[H]C1C2=C(")
    assert first["coordinates"][:6] == pytest.approx([6.4528, -1.5789, -1.2859, 5.789, -0.835, -0.8455])
    free = load("freesolv-3d")
    assert free.data["id"][0].as_py() == free.blocks[0].as_py().splitlines()[0] == "mobley_1017962"
    assert all("M  END" in block for block in free.texts)


@needs_data
def test_the_rows_told_are_those_that_would_be_read(monkeypatch):
    told = describe("uspto-mit")
    assert (told["state"], told["rows"], told["public"]) == ("mirror", 70_000, 479_035)
    monkeypatch.delenv("TETRAMER_DATA")
    told = describe("uspto-mit")
    assert (told["state"], told["rows"], told["public"]) == ("verified", 479_035, 479_035)


def test_a_published_set_may_repeat_a_name(place, monkeypatch):
    at, _, _ = place
    at("/table.csv")
    twice = Table(pa.table({"y": ["1"], "y.1": ["1"]}), "t.csv", header=("y", "y"))
    with pytest.raises(UserError, match="more than once"):
        labels(twice, ["y"])
    monkeypatch.setitem(sources.READERS, "plain", lambda paths: twice)
    assert labels(load("esol"), ["y"]).names == ("y",)


def test_the_state_says_where_a_set_is(place, tmp_path, monkeypatch):
    at, _, server = place
    at("/table.csv")
    assert (state("esol"), state("chembl2321810"), state("pdb-ligands")) == ("verified", "bundled", "by hand")
    fetch("esol")
    assert state("esol") == "cached"
    at("/table.csv", verified=False)
    assert state("esol") == "cached"
    (tmp_path / "table.csv").write_bytes(BODY)
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    assert state("esol") == "mirror"
    (tmp_path / "table.csv").write_bytes(b"spoilt")
    for file in (tmp_path / "cache").iterdir():
        file.unlink()
    assert state("esol") == "unverified"
    assert server.asked == ["/table.csv"]
    assert set(STATES) == {"bundled", "mirror", "cached", "verified", "unverified", "by hand"}


def test_a_set_without_a_file_to_download_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"as one file; see https://www.rcsb.org. Put pdb_ligands.sdf.gz \(sha256:cf10"):
        load("pdb-ligands")
    (tmp_path / "3d").mkdir()
    (tmp_path / "3d" / "pdb_ligands.sdf.gz").write_bytes(b"old")
    with pytest.raises(UserError, match=r"pdb_ligands.sdf.gz is there, but its hash is wrong"):
        fetch("pdb-ligands", accept_unverified=True)


def test_a_repacked_whole_is_read_in_place_of_the_parts(tmp_path, monkeypatch):
    (tmp_path / "whole.csv").write_bytes(BODY)
    whole = Mirror("moleculenet/whole.csv", SHA[7:], 1)
    parts = (Part("https://example.org/a.zip", "", 9, verified=False), Part("https://example.org/b.zip", "", 9))
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    monkeypatch.setitem(
        sources.SOURCES, "esol", replace(SOURCES["esol"], parts=parts, mirror=whole, reader="rexgen-zip")
    )
    assert fetch("esol") == [tmp_path / "whole.csv"]
    assert load("esol").texts == ["CCO"]
    (tmp_path / "whole.csv").write_bytes(BODY + b" ")
    with pytest.raises(UserError, match=r"put whole.csv into a folder"):
        fetch("esol")


def test_bytes_without_a_known_hash_need_consent_and_are_kept_whole(place):
    at, cache, server = place
    at("/table.csv", verified=False)
    row = sources.SOURCES["esol"]
    sources.SOURCES["esol"] = replace(row, parts=(replace(row.parts[0], hash=""),))
    with pytest.raises(UserError, match=r"unverified.*--accept-unverified"):
        fetch("esol")
    (first,) = fetch("esol", accept_unverified=True)
    assert (first.read_bytes(), kept(cache)) == (BODY, [first.name])
    assert fetch("esol") == [first]
    assert server.asked == ["/table.csv"]
    short = replace(row.parts[0], hash="", url=row.parts[0].url.replace("table.csv", "short"))
    sources.SOURCES["esol"] = replace(row, parts=(short,))
    with pytest.raises(UserError, match=r"cut short, 10 bytes are missing"):
        fetch("esol", accept_unverified=True)
    assert kept(cache) == [first.name]


def test_a_file_of_the_same_name_is_not_taken_where_no_hash_is_known(tmp_path, monkeypatch):
    (tmp_path / "data.zip").write_bytes(BODY)
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    assert state("uspto-15k") == "unverified"
    with pytest.raises(UserError, match=r"put uspto_15k.parquet into a folder"):
        fetch("uspto-15k")


def test_the_bundled_set_needs_no_network_and_no_folder(monkeypatch):
    monkeypatch.delenv("TETRAMER_DATA", raising=False)
    monkeypatch.setattr(sources, "_download", None)
    table = load("chembl2321810")
    assert (len(table), table.columns) == (1017, ["smiles", "name", "pIC50"])
    assert list(table.data.to_pylist()[0].values()) == [
        "O=S(=O)(Nc1cccs1)c2ccc(Oc3ccccc3c4ccccc4)c(c2)C#N",
        "1520012",
        "5.48",
    ]
    values = labels(table, ["pIC50"]).values
    assert (values.min() > 3, values.max() < 10) == (True, True)


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/404":
            self.send_error(404)
        elif self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        else:
            body = {"/html": b"<html>log in</html>", "/short": BODY[:5]}.get(self.path, BODY)
            self.send_response(200)
            if self.path != "/endless":
                self.send_header("Content-Length", str(len(BODY) if self.path == "/short" else len(body)))
            self.end_headers()
            self.wfile.write(body)
            while self.path == "/endless":
                try:
                    self.wfile.write(b"x" * 65_536)
                except OSError:
                    return
                self.server.sent += 65_536

    def log_message(self, *_):
        pass


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Serve one data set `esol` whose only part lies at a local url; returns (set the path, the cache, the server)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.asked, server.sent = [], 0
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.delenv("TETRAMER_DATA", raising=False)
    monkeypatch.setattr(sources, "cache", lambda: tmp_path / "cache")

    def at(path, verified=True):
        part = Part(f"http://127.0.0.1:{server.server_port}{path}", SHA, len(BODY))
        part = replace(part, verified=verified)
        monkeypatch.setitem(sources.SOURCES, "esol", replace(SOURCES["esol"], parts=(part,)))

    yield at, tmp_path / "cache", server
    server.shutdown()
    thread.join()
    server.server_close()


def kept(cache):
    return [path.name for path in cache.iterdir()] if cache.exists() else []


def test_a_download_is_kept_and_not_repeated(place, capfd):
    at, cache, server = place
    at("/table.csv")
    (first,) = fetch("esol")
    assert capfd.readouterr().err == ""
    assert first.read_bytes() == BODY
    assert fetch("esol") == [first]
    assert server.asked == ["/table.csv"]
    assert kept(cache) == [first.name]
    assert load("esol").texts == ["CCO"]


def test_a_spoilt_cache_is_downloaded_again(place):
    at, _, server = place
    at("/table.csv")
    (first,) = fetch("esol")
    first.write_bytes(b"spoilt")
    assert fetch("esol")[0].read_bytes() == BODY
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/html", "does not hold the expected bytes of 'esol'"),
        ("/404", "HTTP 404"),
        ("/loop", "cannot be downloaded"),
        ("/endless", "longer than the expected 15 bytes"),
        ("/short", "cannot be downloaded|expected bytes"),
    ],
)
def test_a_wrong_answer_is_refused_and_not_kept(place, path, message):
    at, cache, server = place
    at(path)
    with pytest.raises(UserError, match=message):
        fetch("esol")
    assert kept(cache) == []
    assert server.sent < 20_000_000  # the rest fits into the buffers of the system


def test_without_a_network_the_sentence_says_what_to_do(place, monkeypatch):
    at, _, server = place
    at("/table.csv")
    broken = replace(SOURCES["esol"].parts[0], url="http://127.0.0.1:1/table.csv")
    monkeypatch.setitem(sources.SOURCES, "esol", replace(SOURCES["esol"], parts=(broken,)))
    with pytest.raises(
        UserError, match=rf"cannot be downloaded .*put table.csv \({SHA}\) into a folder and set TETRAMER"
    ):
        fetch("esol")
    assert server.asked == []


@pytest.mark.parametrize(("word", "off"), [("1", True), ("yes", True), ("0", False), ("OFF", False), ("", False)])
def test_offline_nothing_is_downloaded(place, monkeypatch, word, off):
    at, cache, server = place
    at("/table.csv")
    monkeypatch.setenv("TETRAMER_OFFLINE", word)
    if off:
        with pytest.raises(
            UserError, match=r"TETRAMER_OFFLINE is set, so 'esol' is not downloaded. Put table.csv into"
        ):
            fetch("esol")
        assert (server.asked, kept(cache)) == ([], [])
        monkeypatch.delenv("TETRAMER_OFFLINE")
    (first,) = fetch("esol")
    monkeypatch.setenv("TETRAMER_OFFLINE", "1")
    assert fetch("esol") == [first]  # what is there is used
    assert server.asked == ["/table.csv"]


def test_a_mirror_says_whether_its_public_bytes_are_verified():
    assert describe("freesolv")["public bytes"] == "unverified"
    assert describe("esol")["public bytes"] == "verified"
    assert describe("pdb-ligands")["public bytes"] == "by hand"


def test_unverified_bytes_need_consent(place):
    at, _, server = place
    at("/table.csv", verified=False)
    with pytest.raises(UserError, match=r"unverified.*--accept-unverified"):
        fetch("esol")
    assert server.asked == []
    fetch("esol", accept_unverified=True)
    fetch("esol")  # once there and checked, no question is asked again


def test_the_cache_may_be_unwritable(place, monkeypatch):
    at, cache, _ = place
    at("/table.csv")
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file in the way")
    with pytest.raises(UserError, match="cannot be written"):
        fetch("esol")


@pytest.mark.parametrize("name", ["moleculenet/table.csv", "table.csv"])
def test_a_mirror_is_taken_if_its_hash_is_right(tmp_path, monkeypatch, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(BODY)
    part = Part(
        "https://example.org/public.csv", "md5:" + "0" * 32, 9, "moleculenet/table.csv", SHA[7:], verified=False
    )
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    monkeypatch.setitem(sources.SOURCES, "esol", replace(SOURCES["esol"], parts=(part,)))
    assert fetch("esol") == [tmp_path / name]
    (tmp_path / name).write_bytes(BODY + b" ")
    with pytest.raises(UserError, match="unverified"):
        fetch("esol")


def test_a_copy_of_the_public_file_under_the_folder_is_taken(tmp_path, monkeypatch):
    (tmp_path / "public.csv").write_bytes(BODY)
    part = Part("https://example.org/public.csv", SHA, 9, "moleculenet/table.csv", "0" * 64)
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    monkeypatch.setitem(sources.SOURCES, "esol", replace(SOURCES["esol"], parts=(part,)))
    assert fetch("esol") == [tmp_path / "public.csv"]


def test_a_copy_with_wrong_bytes_is_mentioned(place, tmp_path, monkeypatch):
    at, _, _ = place
    at("/404")
    (tmp_path / "404").write_bytes(b"old")
    monkeypatch.setenv("TETRAMER_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"404 is there, but its hash is wrong"):
        fetch("esol")


def test_redirects_never_leave_https():
    handler = sources._NoDowngrade()
    request = sources.urllib.request.Request("https://example.org/a")
    with pytest.raises(sources.urllib.error.URLError, match="redirected away from https"):
        handler.redirect_request(request, None, 302, "", {}, "http://example.org/a")


def test_an_unknown_set_lists_the_known():
    with pytest.raises(UserError, match=r"no data set named 'ESOL2'. Did you mean 'esol'"):
        fetch("ESOL2")
