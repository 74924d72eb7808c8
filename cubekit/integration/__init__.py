"""The way back: fields from their gradients."""

from cubekit.integration.integrate import integrate_gradient

__all__ = ["integrate_gradient"]
