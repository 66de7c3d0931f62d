"""Copy prepared tokens from one folder to another, such as from a bucket to a disk.

As where they are made, meta.json is removed first and written last, so that an
incomplete copy is never used. A copy that is there already is left as it is.
"""

from sparsetx.data import token_files
from sparsetx.data.token_files import META, Prepared
from sparsetx.system import files, lock
from sparsetx.system.progress import Progress, Reporter, silent


def fetch(
    source: files.PathLike, folder: files.PathLike, report: Reporter = silent
) -> Prepared:
    """The copy. Refuses a source without prepared tokens."""
    there, here = files.place(source), files.place(folder)
    advice = f"sparsetx data prepare NAME --out {source}"
    wanted = token_files.open_prepared(there, advice)
    again = f"sparsetx data fetch {source} --out {folder}"
    with lock.held(here):
        if (here / META).is_file():
            found = token_files.open_prepared(here, again)
            if found.fingerprint == wanted.fingerprint:
                return found
            (here / META).unlink()
        names = [str(path.relative_to(there)) for path in files.inside(there)]
        names = [n for n in names if n != META and n != lock.LOCK]
        for done, name in enumerate([*names, META]):
            report(Progress("fetch", done, len(names) + 1, "files"))
            files.write_bytes(here / name, (there / name).read_bytes())
    report(Progress("fetch", len(names) + 1, len(names) + 1, "files"))
    return token_files.open_prepared(here, again)
