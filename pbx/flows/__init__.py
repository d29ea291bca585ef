"""What happens to a call, one module per kind of target; written on the public call API alone.

A flow is an async function of a `Visit` and the target. `registry.FLOWS` says which target has which; a service that is
added later registers its own with `Flows.add`.
"""
