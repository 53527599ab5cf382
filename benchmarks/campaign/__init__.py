"""Sessions of one device over hours, kept raw, so that estimators can be judged on them again."""
