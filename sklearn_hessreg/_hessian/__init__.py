r"""Exact curvature scores of weight layers, computed without the Hessian.

For a layer :math:`z_n = W h_n + b` and a loss :math:`J` in which the rows :math:`z_n`
do not interact, let :math:`B_n = \partial^2 J / \partial z_n^2`. Then

.. math:: \frac{\partial^2 J}{\partial W_{ij}\,\partial W_{kl}}
          = \sum_n B_n[i,k]\, h_{nj}\, h_{nl},
          \qquad
          S_{ij} = \sum_{kl} \Bigl|\sum_n B_n[i,k]\, h_{nj}\, h_{nl}\Bigr|.

Other layers are scored from the Jacobian of the outputs, or row by row.
"""

from sklearn_hessreg._hessian._group import ALONE, ranks_of, without_ddp
from sklearn_hessreg._hessian._layers import select_layers, weight_layers
from sklearn_hessreg._hessian._rank_checks import (
    describe_arguments,
    describe_module,
    describe_samples,
    digest,
)
from sklearn_hessreg._hessian._score_layers import check_layers, score_layers
from sklearn_hessreg._hessian._scores import hessian_scores
from sklearn_hessreg._hessian._streamed import count_operations
from sklearn_hessreg._hessian._twice_differentiable import (
    TwiceDifferentiable,
    differentiable_evaluation,
)
