"""ONNX graphs: operators in NumPy, recurrent ones on rnn_core's layers. Knows no file format.

`model` has what users call. `graph` is what it is made of, `plan` how that runs; `operators` is
the table of functions, one for each operator. All functions of operators are written alike:
inputs are positional, attributes are keywords, and the annotations of attributes are what the
file's are checked against. ``opset``, ``outputs`` and ``captured`` are given to functions that
ask for them.
"""
