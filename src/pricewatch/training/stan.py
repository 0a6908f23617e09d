"""Prophet's optimiser, told where to start and fed without its slow writer of JSON."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from prophet.models import CmdStanPyBackend

from pricewatch.training.start import Start, Terms, start

_FLAT = 2
"""How Prophet's program calls a flat trend."""
_ITERATIONS = 10_000
_encode = msgspec.json.Encoder(enc_hook=float).encode


class Quick(CmdStanPyBackend):
    """A fit of Prophet's own program with its own optimiser; only what it starts from is ours.

    Where it finds nothing better it stays there. Where no start is known the fit is Prophet's usual one. A program that
    fails or is killed is not tried again by Newton's method, which takes minutes.
    """

    def fit(self, stan_init: dict[str, Any], stan_data: dict[str, Any], **kwargs: Any) -> Any:
        """Parameters by name. Raises `RuntimeError` where the program fails, or is killed."""
        self.newton_fallback = False
        known = start(_terms(stan_data))
        if known is not None:
            return self._from(known, stan_init, stan_data)
        with tempfile.TemporaryDirectory() as folder:
            return super().fit(stan_init, stan_data, output_dir=folder, **kwargs)

    def _from(self, known: Start, stan_init: dict[str, Any], stan_data: dict[str, Any]) -> Any:
        _, data = self.prepare_data(stan_init, stan_data)
        with tempfile.TemporaryDirectory() as folder:
            rows, first = Path(folder) / "rows.json", Path(folder) / "start.json"
            rows.write_bytes(_encode(data))
            first.write_bytes(_encode(known))
            self.stan_fit = self.model.optimize(
                data=str(rows),
                inits=str(first),
                output_dir=folder,
                algorithm="LBFGS",
                iter=_ITERATIONS,
                require_converged=False,
            )
        found = self.stan_to_dict_numpy(self.stan_fit.column_names, self.stan_fit.optimized_params_np)
        return {name: values.reshape((1, -1)) for name, values in found.items()}


def _terms(data: dict[str, Any]) -> Terms:
    return Terms(
        y=np.asarray(data["y"], dtype=np.float64),
        t=np.asarray(data["t"], dtype=np.float64),
        seasons=np.asarray(data["X"], dtype=np.float64),
        sigmas=np.asarray(data["sigmas"], dtype=np.float64),
        changes=np.asarray(data["t_change"], dtype=np.float64),
        tau=float(data["tau"]),
        flat=data["trend_indicator"] == _FLAT,
    )
