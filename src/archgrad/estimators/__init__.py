"""scikit-learn estimators: an architecture is searched, trained and used by ``fit`` and ``predict``."""

from archgrad.estimators.classifier import ArchClassifier as ArchClassifier
from archgrad.estimators.forecaster import ArchForecaster as ArchForecaster

__all__ = ["ArchClassifier", "ArchForecaster"]
