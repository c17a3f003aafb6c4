"""The scikit-learn face: `Regressor`, `Classifier`, `Embedder`, and `embed` in one line."""

import signal
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin

from tetramer.assays import assay_of
from tetramer.datasets.labels import Labels, labels
from tetramer.datasets.tables import Table
from tetramer.errors import Stopped, UserError
from tetramer.inference import LEVEL, Answer, Model, embedding_views, load_embedder, probabilities, vectors
from tetramer.members import REGRESSION
from tetramer.modelling import Options, train
from tetramer.molecules import Limits
from tetramer.views import Reader

PLAIN = (bool, int, float, str)  # what a class may be, and JSON keeps apart
Column = Any  # a list, an array, a column of pandas or polars


def texts_of(smiles: Column) -> list[str]:
    """A list, array, pandas or polars column of SMILES, or one SMILES, as a list; None and NaN become ""."""
    if isinstance(smiles, str):
        return [smiles]
    if hasattr(smiles, "to_list"):
        smiles = smiles.to_list()
    cells = np.asarray(smiles, dtype=object)
    if cells.ndim > 1 and cells.size > len(cells):
        raise UserError(f"The SMILES are a table of {cells.size // len(cells)} columns; give the one that holds them.")
    out = []
    for place, text in enumerate(cells.reshape(-1).tolist()):
        if is_missing(text):
            text = ""
        if not isinstance(text, str):
            raise UserError(f"SMILES number {place + 1} is {text!r}, a {type(text).__name__}; give texts.")
        out.append(text)
    return out


def array_of(y: Column, rows: int) -> np.ndarray:
    """Labels as (n, T) objects; UserError if there are not as many as structures.

    Columns of pandas and polars go one by one, as lists: an array would make floats of whole numbers with a gap.
    """
    if hasattr(y, "columns"):
        frame: Any = getattr(y, "iloc", y)
        y = list(zip(*(frame[:, k].to_list() for k in range(y.shape[1])), strict=True))
    values = np.asarray(y.to_list() if hasattr(y, "to_list") else y, dtype=object)
    if not values.ndim:
        raise UserError(f"The labels are {y!r}; give a list, an array or a column, one label a SMILES.")
    values = values.reshape(len(values), -1) if values.size else values.reshape(-1, 1)
    if len(values) != rows:
        raise UserError(f"There are {rows} SMILES and {len(values)} labels; give one label (or row of labels) each.")
    return np.asarray(values)


def labels_of(y: Column, rows: int) -> Labels:
    """Numbers, bounds such as ">10", or classes in Python containers → Labels, by the rules for files."""
    values = array_of(y, rows)
    names = [f"y{k}" if values.shape[1] > 1 else "y" for k in range(values.shape[1])]
    named = list(getattr(y, "columns", [])) or ([y.name] if isinstance(getattr(y, "name", None), str) else [])
    if len(named) == len(names):
        names = [str(name) for name in named]
    cells = [["" if is_missing(cell) else text_of(cell) for cell in column] for column in values.T]
    return labels(Table(pa.table(dict(zip(names, cells, strict=True))), "y"), names)


def text_of(cell: object) -> str:
    """A label as a file would hold it: every digit of a number, true and false as words."""
    return repr(float(cell)) if isinstance(cell, int | float | np.number) and not isinstance(cell, bool) else str(cell)


def is_missing(cell: object) -> bool:
    """None, NaN, or the NA and NaT of pandas."""
    nan = isinstance(cell, float | np.floating) and bool(np.isnan(cell))
    return cell is None or nan or type(cell).__name__ in ("NAType", "NaTType")


def weights_of(weight: Column, rows: int) -> np.ndarray | None:
    """Weights of rows as (n,) numbers, None where there are none; UserError if one is no number."""
    if weight is None:
        return None
    try:
        return np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError):
        cells = np.asarray(weight, dtype=object).reshape(-1).tolist()
        odd = next((cell for cell in cells if not isinstance(cell, int | float)), weight)
        raise UserError(f"sample_weight holds {odd!r}, which is no number. Give {rows} numbers, one a row.") from None


Given = tuple[np.ndarray, np.ndarray] | None  # labels as numbers (n, T), and as they were given (n, T)


def folders_of(start: str | Path | Sequence[str | Path] | None) -> tuple[Path, ...]:
    """The folders that `start` names."""
    if start is None:
        return ()
    return (Path(start),) if isinstance(start, str | Path) else tuple(map(Path, start))


class _Predictor(BaseEstimator):  # type: ignore[misc]
    """What Regressor and Classifier share."""

    task = "auto"

    def __init__(
        self,
        recipe: str = "auto",
        seed: int = 0,
        seeds: int = 1,
        settings: dict[str, Any] | None = None,
        workers: int | None = None,
        start: str | Path | Sequence[str | Path] | None = None,
    ) -> None:
        self.recipe = recipe
        self.seed = seed
        self.seeds = seeds
        self.settings = settings
        self.workers = workers
        self.start = start  # folder, or folders, of an encoder or a model whose weights networks begin with

    def fit(self, X: Column, y: Column, sample_weight: Sequence[float] | None = None) -> Self:
        """Fit on SMILES (n,) and labels (n,) or (n, T); NaN or None is a label nobody measured.

        Raises UserError where nothing can be learned, with the reason.
        """
        texts = texts_of(X)
        options, weight = self._options(), weights_of(sample_weight, len(texts))
        assay = assay_of(texts, labels_of(y, len(texts)), weight, self._task(y, len(texts)))
        try:
            with tempfile.TemporaryDirectory(prefix="tetramer-") as parts:
                result = train(assay, options, Path(parts))
        except Stopped as stopped:  # what Python raises for a signal, lest a search over settings go on without us
            if stopped.signal == signal.SIGINT:
                raise KeyboardInterrupt from stopped
            raise SystemExit(128 + stopped.signal) from stopped
        return self._take(result.model.lean(), result.scores, (assay.labels.values, array_of(y, len(texts))))

    def _task(self, y: Column, rows: int) -> str:
        return self.task

    def _options(self) -> Options:
        settings = {} if self.settings is None else self.settings
        if not isinstance(settings, Mapping):
            raise UserError(f"settings={settings!r}: give a dictionary, such as {{'training.epochs': 20}}.")
        for name in ("seed", "seeds", "workers"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) and not (name == "workers" and value is None):
                raise UserError(f"{name}={value!r} is no whole number; give one, such as 1.")
        overrides = {str(key): str(value) for key, value in settings.items()}
        return Options(
            recipe=str(self.recipe),
            overrides=overrides,
            seed=int(self.seed),
            seeds=int(self.seeds),
            limits=Limits(self.workers),
            start=folders_of(self.start),
        )

    def _take(self, model: Model, scores: dict[str, Any], given: Given = None) -> Self:
        self.model_ = model
        self.scores_ = scores
        self.n_features_in_ = 1
        return self

    def save(self, path: str | Path) -> None:
        """Write the model folder that `tetramer predict` and `tetramer.load` read."""
        self._fitted().save(Path(path))

    def _fitted(self) -> Model:
        if not hasattr(self, "model_"):
            raise UserError("This predictor is not fitted. Call fit(smiles, y) first, or use tetramer.load(folder).")
        return self.model_

    def _answer(self, X: Column, level: float = LEVEL) -> Answer:
        model = self._fitted()
        with Reader(model.standard, Limits(self.workers), model.settings) as reader:
            reading = reader.read(texts_of(X), model.views)
        answer = model.predict(reading.features, np.arange(len(reading)), level)
        told = np.isfinite(answer.values).any(axis=(1, 2))
        self.status_ = as_texts(*reading.statuses(told, model.placed, model.elements))
        return answer


def as_texts(codes: Sequence[str], reasons: Sequence[str]) -> list[str]:
    """ "ok", ok:NOTE: reason, or CODE: reason, a row."""
    return [code if code == "ok" else f"{code}: {why}" for code, why in zip(codes, reasons, strict=True)]


def flat(values: np.ndarray) -> np.ndarray:
    """(n, 1) → (n,); more targets stay (n, T)."""
    return values[:, 0] if values.shape[1] == 1 else values


class Regressor(RegressorMixin, _Predictor):  # type: ignore[misc]
    """Predict measured numbers from SMILES, with intervals. A refused SMILES is NaN; `status_` says why."""

    task = REGRESSION

    def predict(self, X: Column) -> np.ndarray:
        """(n,) or (n, T) in the unit of the labels."""
        return flat(self._answer(X).values[:, :, 0])

    def predict_interval(self, X: Column, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, each (n,) or (n, T): the truth lies between them in a share `level` of cases."""
        if not 0 < level < 1:
            raise UserError(f"level={level} is not a probability. Choose a number between 0 and 1, such as 0.9.")
        answer = self._answer(X, level)
        assert answer.low is not None and answer.high is not None  # noqa: PT018
        return flat(answer.low), flat(answer.high)


class Classifier(ClassifierMixin, _Predictor):  # type: ignore[misc]
    """Predict classes from SMILES. `classes_` are the labels as given, in ascending order, also after `load`."""

    def _task(self, y: Column, rows: int) -> str:
        told = labels_of(y, rows)
        different = [len(np.unique(told.values[known, t])) for t, known in enumerate(told.known.T)]
        most = max((count for count, texts in zip(different, told.classes, strict=True) if texts is None), default=0)
        if most > 20:
            raise UserError(f"The labels hold {most} different numbers, which is a regression. Use Regressor.")
        return "binary" if max(different) == 2 else "multiclass"

    def _take(self, model: Model, scores: dict[str, Any], given: Given = None) -> Self:
        if given is not None:  # the card keeps them: a text says not whether it was a number, or true or false
            labels = [given_classes(*given, target) for target in range(len(model.problem.classes))]
            model = replace(model, card=model.card | {"labels": labels})
        told = [np.array(classes) for classes in classes_of(model)]
        self._places = [np.argsort(classes) for classes in told]  # scikit-learn wants them in ascending order
        told = [classes[places] for classes, places in zip(told, self._places, strict=True)]
        self.classes_ = told[0] if len(told) == 1 else told
        return super()._take(model, scores, given)

    def predict_proba(self, X: Column) -> np.ndarray | list[np.ndarray]:
        """(n, K) probabilities in the order of `classes_`; with several targets a list of them."""
        problem, answer = self._fitted().problem, self._answer(X)
        told = [probabilities(answer, problem, target)[:, places] for target, places in enumerate(self._places)]
        return told[0] if len(told) == 1 else told

    def predict(self, X: Column) -> np.ndarray:
        """(n,) or (n, T) the likeliest class; None where the SMILES was refused."""
        told, classes = self.predict_proba(X), self.classes_
        chances, named = (told, classes) if isinstance(told, list) else ([told], [classes])
        columns = []
        for chance, names in zip(chances, named, strict=True):
            known = np.isfinite(chance).all(axis=1)
            best: np.ndarray = names[np.nan_to_num(chance).argmax(axis=1)]
            if not known.all():
                best = best.astype(object)
                best[~known] = None
            columns.append(best)
        if len({column.dtype.kind for column in columns}) > 1:  # numbers beside texts stay numbers
            columns = [column.astype(object) for column in columns]
        return np.asarray(columns[0] if len(columns) == 1 else np.stack(columns, axis=1))


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """SMILES → vectors, as a scikit-learn transformer.

    model: the folder of a model or an encoder, or None for the fingerprint view (log counts of circular substructures).
    """

    def __init__(self, model: str | Path | None = None, workers: int | None = None) -> None:
        self.model = model
        self.workers = workers

    def fit(self, X: Column, y: Column = None) -> Self:
        """Nothing is learned; the model, if one is named, is read."""
        self.model_ = None if self.model is None else load_embedder(Path(self.model))
        return self

    def transform(self, X: Column) -> np.ndarray:
        """(n, D) float32; a refused SMILES is a row of NaN, and `status_` says why."""
        if not hasattr(self, "model_"):
            self.fit(X)
        standard, settings = (None, None) if self.model_ is None else (self.model_.standard, self.model_.settings)
        with Reader(standard, Limits(self.workers), settings) as reader:
            reading = reader.read(texts_of(X), embedding_views(self.model_))
        told = vectors(self.model_, reading)
        self.status_ = as_texts(*reading.statuses(np.isfinite(told).all(axis=1)))
        return told

    def __sklearn_is_fitted__(self) -> bool:
        return True


def embed(smiles: str | Iterable[str], model: str | Path | None = None, workers: int | None = None) -> np.ndarray:
    """(n, D) float32 vectors of SMILES, in order; NaN where one was refused.

    model: a model folder; without one, the fingerprint view, until pretrained weights ship.
    """
    return Embedder(model, workers).fit(smiles).transform(smiles if isinstance(smiles, str) else list(smiles))


def load(path: str | Path) -> Regressor | Classifier:
    """What `tetramer train` or `save` wrote, as a fitted predictor: it takes SMILES.

    UserError if the folder is no model, or was altered or cut short.
    """
    model = Model.load(Path(path))
    card = model.card
    kind = Regressor if model.problem.task == REGRESSION else Classifier
    return kind(card.get("recipe", "auto"), card.get("seed", 0))._take(model, card.get("metrics", {}))


def given_classes(values: np.ndarray, y: np.ndarray, target: int) -> list[Any]:
    """The classes of one target as they were given, in the order of their numbers 0, 1, … in `values` (n, T)."""
    numbers = np.unique(values[~np.isnan(values[:, target]), target])
    classes = [y[int(np.argmax(values[:, target] == number)), target] for number in numbers]
    plain = np.array(classes).tolist()  # one type for all, as `classes_` has it
    return plain if all(isinstance(one, PLAIN) for one in plain) else [str(one) for one in plain]


def classes_of(model: Model) -> list[list[Any]]:
    """The classes of every target, as they were given in Python, or as a table held them."""
    labels, classes = model.card.get("labels"), model.problem.classes
    if labels is None:
        return [[typed(name) for name in names] for names in classes]
    lists = isinstance(labels, list) and all(isinstance(given, list) for given in labels)
    if (
        not lists
        or [len(given) for given in labels] != [len(names) for names in classes]
        or not all(isinstance(one, PLAIN) for given in labels for one in given)
    ):
        raise UserError("The labels in the card of the model do not fit its classes. Train again.")
    return labels  # type: ignore[no-any-return]


def typed(text: str) -> int | float | str:
    """A class as a table held it: a whole number, a number, or a text."""
    try:
        number = float(text)
    except ValueError:
        return text
    if f"{number:.15g}" != text or not np.isfinite(number):  # numbers are written down in this way: "1_0" is a text
        return text
    return int(number) if number.is_integer() else number
