"""Names that tasks of several assignments forbid."""

# What differentiates, not what merely belongs to it: `no_grad` and `vmap` stay allowed.
DIFFERENTIATION = (
    "torch.Tensor.backward",
    "torch.Tensor.grad_fn",
    "torch.autograd.backward",
    "torch.autograd.grad",
    "torch.autograd.functional",
    "torch.autograd.forward_ad",
    "torch.autograd.graph._engine_run_backward",
    "torch.autograd.Variable._execution_engine.run_backward",
    *(
        f"torch.func.{name}"
        for name in (
            "grad",
            "grad_and_value",
            "hessian",
            "jacfwd",
            "jacrev",
            "jvp",
            "linearize",
            "vjp",
        )
    ),
)
