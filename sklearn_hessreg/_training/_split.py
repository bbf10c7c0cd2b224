"""The rows set aside for validation, drawn anew for each cycle of the method."""

from sklearn_hessreg._training._to_samples import to_samples


class ValidationSplit:
    """Samples to train on and to validate on, parted at random from the same rows.

    `part(*data, random_state)` returns both parts as arrays. A redraw changes the
    contents of `train` and `valid` in place, for all that hold them.
    """

    def __init__(self, part, data, order, spec):
        self.part = part
        self.data = data
        self.order = order
        self.spec = spec
        self.train, self.valid = self._draw()

    def redraw(self):
        """Part the rows anew, where the next cycle goes by its own plateau."""
        if self.spec.method["reinit_every"] != "plateau":
            return
        self.order.note_split()
        for samples, drawn in zip((self.train, self.valid), self._draw(), strict=True):
            vars(samples).update(vars(drawn))

    def _draw(self):
        """Draw both parts."""
        train, valid = self.part(*self.data, self.order.random_state)
        head, device = self.spec.head, self.spec.device
        return to_samples(*train[:3], head, device), to_samples(*valid, head, device)
