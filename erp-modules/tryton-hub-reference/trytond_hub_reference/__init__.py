# Copyright (C) the Tillwire authors.
# This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public
# License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later
# version. It comes without any warranty; see the file LICENSE beside this package.
"""A Tryton module: documents know the reference under which a retail hub entered them, and take it once only."""
