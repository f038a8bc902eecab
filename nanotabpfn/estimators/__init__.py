"""The scikit-learn interface: encoding of tables, ensembles, classifier and regressor."""
