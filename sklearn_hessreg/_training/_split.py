"""The rows set aside for validation, drawn anew for each cycle of the method."""

from sklearn_hessreg._training._to_samples import to_samples


class ValidationSplit:
    """Samples to train on and to validate on, parted at random from the same rows.

    `part(y, random_state)` returns the numbers of both parts' rows, so that X is not
    copied. A redraw changes the contents of `train` and `valid` in place, for all that
    hold them.
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
        """Draw both parts, of which the second has no class weights."""
        X, y, *weights = self.data
        head, device = self.spec.head, self.spec.device
        return [
            to_samples(X, y[rows], weight[rows], head, device, rows)
            for rows, weight in zip(
                self.part(y, self.order.random_state), weights, strict=True
            )
        ]
